// The command line of the lab: `npm run lab -- COMMAND`. Every command works on a lab by name, so
// that they can be mixed with programs that use the library on the same lab.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Command, CommanderError, Option } from 'commander';
import { messageOf, UnderstudyError } from '../src/core/errors.ts';
import { formatBytes, parseBytes } from '../src/core/units.ts';
import { labsWithGroups } from './cgroup.ts';
import type { DiskFault } from './disk-faults.ts';
import { type HostName, isServer, Lab } from './lab.ts';
import type { LabStatus } from './lab-status.ts';
import { type NetworkName, labNames, NETWORKS } from './state.ts';

const DEFAULT_NAME = 'lab';
const EXIT_USAGE = 2;

interface Common {
  readonly name: string;
  readonly json?: boolean;
}

/** One line for people, or the status of the lab as JSON. */
function report(options: Common, sentence: string): void {
  if (options.json === true) console.log(JSON.stringify(Lab.open(options.name).status()));
  else console.log(sentence);
}

function networksOf(network: string | undefined, host: string): NetworkName[] {
  if (network !== undefined) return [network as NetworkName];
  return isServer(host) ? [...NETWORKS] : ['lan'];
}

const networkOption = (): Option =>
  new Option('--network <network>', 'default: all networks of the host').choices([...NETWORKS]);

function command(program: Command, usage: string, description: string): Command {
  return program
    .command(usage)
    .description(description)
    .option('--name <lab>', 'name of the lab', DEFAULT_NAME)
    .option('--json', 'print the state of the lab as JSON');
}

function addLifeCommands(program: Command): void {
  command(program, 'up', 'build a lab and boot its hosts')
    .option('--hosts <list>', 'comma separated', 'a,b,client,gateway')
    .option('--disk-size <size>', 'size of the disks of a and b (sparse)', '16 GiB')
    .action(async (options: Common & { hosts: string; diskSize: string }) => {
      const hosts = options.hosts.split(',') as HostName[];
      const diskBytes = parseBytes(options.diskSize);
      await Lab.up({ name: options.name, hosts, diskBytes, keep: true });
      report(options, `lab "${options.name}" is up: hosts ${hosts.join(', ')}`);
    });
  command(program, 'down', 'remove a lab, whole or in pieces; fine when there is none')
    .option('--all', 'all labs of this machine')
    .option('--stale', 'only labs whose program has ended')
    .action(async (options: Common & { all?: boolean; stale?: boolean }) => await down(options));
  program
    .command('list')
    .description('names of all labs')
    .option('--json', 'as a JSON array')
    .action((options: { json?: boolean }) => {
      if (options.json === true) console.log(JSON.stringify(labNames()));
      else for (const name of labNames()) console.log(name);
    });
  command(program, 'status', 'what runs, what is broken, where the logs are').action(
    (options: Common) => {
      const status = Lab.open(options.name).status();
      console.log(options.json === true ? JSON.stringify(status, null, 2) : describe(status));
    },
  );
}

async function down(options: Common & { all?: boolean; stale?: boolean }): Promise<void> {
  if (options.stale === true) {
    const removed = await Lab.removeStale();
    console.log(options.json === true ? JSON.stringify(removed) : `removed ${removed.length}`);
    return;
  }
  const everything = [...new Set([...labNames(), ...labsWithGroups()])];
  const names = options.all === true ? everything : [options.name];
  for (const name of names) {
    const { hosts, isDiskHeld } = await Lab.down(name);
    if (hosts.length === 0 && !isDiskHeld) continue;
    throw new UnderstudyError(
      'LAB_NOT_REMOVED',
      `lab "${name}" is not gone: processes of [${hosts.join(', ')}] cannot be ended` +
        `${isDiskHeld ? ', its disk is in use' : ''}; see what they wait for, then try again`,
    );
  }
  console.log(options.json === true ? JSON.stringify(names) : `down: ${names.join(', ')}`);
}

function describe(status: LabStatus): string {
  const lines = [`lab ${status.name}, since ${status.createdAt}`];
  for (const host of status.hosts) {
    const addresses = Object.entries(host.addresses).map(
      ([network, address]) =>
        `${network} ${address}${host.unplugged.includes(network as NetworkName) ? ' (unplugged)' : ''}` +
        (host.rates[network as NetworkName] === undefined
          ? ''
          : ` (${host.rates[network as NetworkName] ?? ''})`),
    );
    const disk = host.disk === null ? '' : `, disk ${formatBytes(host.disk.freeBytes)} free`;
    const state = host.frozen ? 'frozen' : host.power;
    lines.push(`  ${host.name.padEnd(8)} ${state.padEnd(6)} ${addresses.join(', ')}${disk}`);
    for (const address of host.claimed) lines.push(`           claims ${address}`);
    for (const [service, service_state] of Object.entries(host.services)) {
      lines.push(
        `           service ${service}: ${service_state}, log ${host.logs}/${service}.log`,
      );
    }
  }
  for (const { from, to, network } of status.cuts) {
    lines.push(`  cut      ${from} -> ${to} on ${network}`);
  }
  return lines.join('\n');
}

function addProgramCommands(program: Command): void {
  program
    .command('exec')
    .description('run a program in a host; its exit code is the exit code')
    .usage('[--name <lab>] [--user <user>] <host> -- <program> [arguments]')
    .argument('<host>')
    .argument('<program...>')
    .option('--name <lab>', 'name of the lab', DEFAULT_NAME)
    .option('--user <user>', 'run as this user instead of root')
    .option('--cwd <directory>', 'working directory', '/')
    .passThroughOptions()
    .action(
      async (
        host: string,
        argv: string[],
        options: { name: string; user?: string; cwd: string },
      ) => {
        const { user, cwd } = options;
        const spawned = Lab.open(options.name)
          .host(host)
          .spawn(argv[0] === '--' ? argv.slice(1) : argv, {
            user,
            cwd,
            stdio: 'inherit',
            detached: false,
          });
        process.exitCode = (await spawned.ended) ?? 137;
      },
    );
  command(program, 'service <host> <service> <action>', 'start, stop or restart a boot service')
    .option('--timeout <ms>', 'until it is killed', '10000')
    .action(
      async (
        host: string,
        service: string,
        action: string,
        options: Common & { timeout: string },
      ) => {
        const target = Lab.open(options.name).host(host);
        if (!['start', 'stop', 'restart'].includes(action)) {
          throw new UnderstudyError('USAGE', `"${action}" is not start, stop or restart`);
        }
        if (action !== 'start') await target.stopService(service, Number(options.timeout));
        if (action !== 'stop') await target.startService(service);
        report(options, `${action}: ${service} on ${host}`);
      },
    );
  command(program, 'logs <host> [service]', 'print the log of a boot service').action(
    (host: string, service: string | undefined, options: Common) => {
      const directory = Lab.open(options.name).host(host).logDirectory;
      process.stdout.write(readFileSync(join(directory, `${service ?? 'understudyd'}.log`)));
    },
  );
}

function addPowerCommands(program: Command): void {
  command(
    program,
    'power-off <host>',
    'cut its power: only what had reached the disk stays, no connection says goodbye',
  ).action(async (host: string, options: Common) => {
    await Lab.open(options.name).host(host).powerOff();
    report(options, `${host} has no power`);
  });
  command(program, 'boot <host>', 'switch it on').action(async (host: string, options: Common) => {
    await Lab.open(options.name).host(host).boot();
    report(options, `${host} is on`);
  });
  command(program, 'shutdown <host>', 'end it in good order').action(
    async (host: string, options: Common) => {
      await Lab.open(options.name).host(host).shutdown();
      report(options, `${host} is off`);
    },
  );
  command(program, 'freeze <host>', 'stop all its programs at one instant (a hung system)')
    .option('--silent', 'nor does its kernel answer (a stopped virtual machine)')
    .action(async (host: string, options: Common & { silent?: boolean }) => {
      await Lab.open(options.name)
        .host(host)
        .freeze({ silent: options.silent === true });
      report(options, `${host} is frozen`);
    });
  command(program, 'thaw <host>', 'let it go on').action(async (host: string, options: Common) => {
    await Lab.open(options.name).host(host).thaw();
    report(options, `${host} goes on`);
  });
}

interface CutFlags extends Common {
  readonly network?: NetworkName;
  readonly oneWay?: boolean;
}

function addNetworkCommands(program: Command): void {
  command(program, 'cut <from> <to>', 'lose all packets between two hosts, both ways')
    .addOption(networkOption())
    .option('--one-way', 'only packets from the first to the second')
    .action(async (from: string, to: string, options: CutFlags) => {
      await Lab.open(options.name).cut(from, to, options);
      report(options, `cut ${from} ${options.oneWay === true ? '->' : '<->'} ${to}`);
    });
  command(program, 'heal [from] [to]', 'undo a cut; without hosts, all cuts')
    .addOption(networkOption())
    .option('--one-way', 'only packets from the first to the second')
    .action(async (from: string | undefined, to: string | undefined, options: CutFlags) => {
      if (from !== undefined && to === undefined) {
        throw new UnderstudyError('USAGE', 'heal takes two hosts, or none to heal everything');
      }
      await Lab.open(options.name).heal(from, to, options);
      report(options, from === undefined ? 'healed all' : `healed ${from} and ${to ?? ''}`);
    });
  for (const verb of ['unplug', 'plug'] as const) {
    command(program, `${verb} <host>`, verb === 'plug' ? 'put cables back' : 'pull network cables')
      .addOption(networkOption())
      .action(async (host: string, options: CutFlags) => {
        const target = Lab.open(options.name).host(host);
        for (const network of networksOf(options.network, host)) await target[verb](network);
        report(options, `${verb}ged ${host}`);
      });
  }
  command(program, 'shape <host>', 'limit the rate of its cables, both ways')
    .requiredOption('--rate <rate>', 'as tc(8) writes it (50mbit), or "none"')
    .addOption(networkOption())
    .action(async (host: string, options: CutFlags & { rate: string }) => {
      const target = Lab.open(options.name).host(host);
      const rate = options.rate === 'none' ? undefined : options.rate;
      for (const network of networksOf(options.network, host)) await target.shape(network, rate);
      report(options, `rate of ${host}: ${options.rate}`);
    });
  command(program, 'conflict <address>', 'let a host claim an address that belongs to another')
    .option('--by <host>', 'who claims it', 'client')
    .option('--end', 'let it give the address back')
    .action(async (address: string, options: Common & { by: string; end?: boolean }) => {
      const host = Lab.open(options.name).host(options.by);
      if (options.end === true) await host.releaseAddress(address);
      else await host.claimAddress(address);
      report(options, `${options.by} ${options.end === true ? 'released' : 'claims'} ${address}`);
    });
}

function addDiskCommands(program: Command): void {
  command(program, 'fill-disk <host>', 'take all space of its disk')
    .option('--leave <size>', 'but this much', '0')
    .action(async (host: string, options: Common & { leave: string }) => {
      const taken = await Lab.open(options.name).host(host).fillDisk(parseBytes(options.leave));
      report(options, `took ${formatBytes(taken)} of ${host}`);
    });
  command(program, 'break-disk <host>', 'its disk fails; mended by power-off and boot')
    .addOption(
      new Option('--fault <fault>', 'every access fails, or no writing any more')
        .choices(['error', 'read-only'])
        .default('error'),
    )
    .action((host: string, options: Common & { fault: DiskFault }) => {
      Lab.open(options.name).host(host).breakDisk(options.fault);
      report(options, `the disk of ${host} is broken: ${options.fault}`);
    });
  command(program, 'free-disk <host>', 'give that space back').action(
    async (host: string, options: Common) => {
      const isFreed = await Lab.open(options.name).host(host).freeDisk();
      report(options, isFreed ? `${host} has its space back` : `nothing was taken of ${host}`);
    },
  );
}

const HELP = `
Hosts a and b are servers: own disk (at /srv, /etc/understudy, /var/lib/understudy), networks lan
and sync. client and gateway are on lan only. The command "understudy" of this checkout is in the
path of every host; its daemon starts as soon as the host has an /etc/understudy/node.yaml.

Example:
  npm run lab -- up
  npm run lab -- exec a -- understudy doctor
  npm run lab -- cut a b --network sync
  npm run lab -- power-off a
  npm run lab -- status
  npm run lab -- down`;

function build(): Command {
  const program = new Command('lab')
    .description('servers on one machine, with real faults: power cuts, frozen hosts, cut links')
    .enablePositionalOptions()
    .exitOverride()
    .addHelpText('after', HELP);
  addLifeCommands(program);
  addProgramCommands(program);
  addPowerCommands(program);
  addNetworkCommands(program);
  addDiskCommands(program);
  return program;
}

try {
  await build().parseAsync();
} catch (thrown) {
  if (thrown instanceof CommanderError) {
    process.exitCode = thrown.exitCode === 0 ? 0 : EXIT_USAGE;
  } else {
    const isUsage = thrown instanceof UnderstudyError && thrown.code === 'USAGE';
    console.error(`lab: ${messageOf(thrown)}`);
    if (!(thrown instanceof UnderstudyError)) console.error(thrown);
    process.exitCode = isUsage ? EXIT_USAGE : 1;
  }
}
