// Commands about this node: init, daemon, invite, join, unpair, status, events, doctor.
import { existsSync } from 'node:fs';
import { isIP } from 'node:net';
import { hostname, networkInterfaces } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Command } from 'commander';
import { UnderstudyError } from '../core/errors.ts';
import { parseDurationMs } from '../core/units.ts';
import { tryListen } from '../linux/try-listen.ts';
import type { AuditEntry } from '../service/admin-api/audit.ts';
import { eventText } from '../service/event-text.ts';
import type { LoggedEvent } from '../service/event-log.ts';
import { NAME_PATTERN } from '../service/group-spec.ts';
import { createIdentity, hasIdentity } from '../service/identity.ts';
import {
  API_PORT_DEFAULT,
  type NodeConfig,
  nodeConfigSchema,
  readNodeConfig,
  writeNodeConfig,
} from '../service/node-config.ts';
import { type ServicePaths, servicePaths } from '../service/service-paths.ts';
import type { ServiceStatus } from '../service/status.ts';
import { parseStrictly } from '../core/strict-config.ts';
import { callApi, localApi, runOperation } from './admin.ts';
import { loadNodeConsole } from './console-commands.ts';
import { parseNumber, print, printable, table } from './output.ts';
import { statusText } from './status-text.ts';

const WATCH_INTERVAL_MS = 1000;
const ENTRIES_SHOWN = 50;

interface Json {
  readonly json?: boolean;
}

interface InitOptions extends Json {
  readonly name?: string;
  readonly address?: string;
  readonly port: number;
  readonly replicationAddress?: string;
}

export function addNodeCommands(program: Command): void {
  program
    .command('init')
    .description('give this node a name, an address and an identity')
    .option('--name <name>', 'name of this node (default: the host name)')
    .option('--address <address>', 'address at which the other node reaches this one')
    .option('--port <port>', 'port of the node API', parseNumber, API_PORT_DEFAULT)
    .option('--replication-address <address>', 'address for the replication stream, if another')
    .option('--json', 'print JSON')
    .action(init);
  program.command('daemon').description('run the service in the foreground').action(daemon);
  program
    .command('invite')
    .description('print a token with which another node can join this one')
    .option('--valid <duration>', 'how long the token can be used', '1h')
    .option('--json', 'print JSON')
    .action(invite);
  program
    .command('join')
    .description('pair this node with the one that printed the token')
    .argument('<token>')
    .option('--json', 'print JSON')
    .action(join);
  program
    .command('unpair')
    .description('no longer trust the other node')
    .option('--json', 'print JSON')
    .action(async ({ json = false }: Json) => {
      const peer = await callApi<{ name: string }>({ method: 'DELETE', path: '/pairing' });
      print(json, peer, ({ name }) => `node "${name}" is no longer trusted here`);
    });
  program
    .command('status')
    .description('show this node, its partner and all groups')
    .option('--watch', 'go on showing it')
    .option('--json', 'print JSON (with --watch: one object per line)')
    .action(status);
  program
    .command('events')
    .description('show what happened on this node')
    .option('--count <number>', 'how many', parseNumber, ENTRIES_SHOWN)
    .option('--follow', 'go on showing new ones')
    .option('--json', 'print JSON lines')
    .action(events);
  program
    .command('audit')
    .description('show who asked this node for which change, and how it ended')
    .option('--count <number>', 'how many', parseNumber, ENTRIES_SHOWN)
    .option('--json', 'print JSON')
    .action(audit);
}

async function audit({ count, json = false }: Json & { count: number }): Promise<void> {
  const query = { count };
  const entries = await callApi<AuditEntry[]>({ method: 'GET', path: '/audit', query });
  const rows = entries
    .toReversed()
    .map(({ at, who, from, what, result }) => [at, who, from, what, result]);
  print(json, entries, () => table([['AT', 'WHO', 'FROM', 'WHAT', 'RESULT'], ...rows]));
}

async function init(options: InitOptions): Promise<void> {
  const paths = servicePaths(process.env);
  const config = halfInitialised(paths, options) ?? firstConfig(paths, options);
  await warnOfAbsent([config.address, config.replicationAddress]);
  const { id, fingerprint } = await createIdentity(paths, config.name);
  const result = { id, fingerprint, ...config, config: paths.nodeConfig };
  print(
    options.json ?? false,
    result,
    () =>
      `node "${config.name}" (${id}) at ${config.address}:${config.port}, see ${paths.nodeConfig}\nnext: start the service (systemctl start understudyd, or understudy daemon), then "understudy invite" or "understudy join TOKEN"`,
  );
}

/** An init that was interrupted, or an identity that was lost: what node.yaml says stays, and the node gets an identity. */
function halfInitialised(paths: ServicePaths, { name }: InitOptions): NodeConfig | undefined {
  if (!existsSync(paths.nodeConfig) || hasIdentity(paths)) return undefined;
  const config = readNodeConfig(paths);
  return name === undefined || name === config.name ? config : undefined;
}

function firstConfig(paths: ServicePaths, options: InitOptions): NodeConfig {
  const { name, address, port, replicationAddress } = options;
  const config = parseStrictly(
    nodeConfigSchema,
    {
      name: name ?? defaultName(),
      address: address ?? defaultAddress(),
      port,
      ...(replicationAddress === undefined ? {} : { replicationAddress }),
    },
    { code: 'CONFIG_INVALID', origin: 'init' },
  );
  writeNodeConfig(paths, config);
  return config;
}

function defaultName(): string {
  const name = (hostname().split('.')[0] ?? '').toLowerCase();
  if (NAME_PATTERN.test(name)) return name;
  throw new UnderstudyError(
    'CONFIG_INVALID',
    `the host name "${hostname()}" is no name for a node: give one with --name`,
  );
}

/** The service listens on its addresses: one that the machine has not got (yet) is worth a word. */
async function warnOfAbsent(addresses: readonly (string | undefined)[]): Promise<void> {
  for (const address of addresses) {
    if (address === undefined || isIP(address) === 0) continue;
    if ((await tryListen(address, 0))?.code !== 'EADDRNOTAVAIL') continue;
    console.error(
      `warning: this machine has no address ${address} at present; the service cannot start without it`,
    );
  }
}

/** The only address of this machine; with several, a person has to choose. */
function defaultAddress(): string {
  const addresses = Object.values(networkInterfaces())
    .flatMap((list) => list ?? [])
    .filter(({ internal, family }) => !internal && family === 'IPv4')
    .map(({ address }) => address);
  const [only] = addresses;
  if (only !== undefined && addresses.length === 1) return only;
  throw new UnderstudyError(
    'ADDRESS_NEEDED',
    `give the address at which the other node reaches this one with --address (this machine has: ${addresses.join(', ') || 'none'})`,
  );
}

async function daemon(): Promise<void> {
  // Loaded only here: the other commands start faster without the service.
  process.title = 'understudyd';
  const { programs, startDaemon } = await import('../service/daemon.ts');
  const running = await startDaemon(servicePaths(process.env), programs, loadNodeConsole);
  running.service.events.onEvent((event) => console.log(JSON.stringify(event)));
  const { name, address, port } = running.service.config;
  console.log(JSON.stringify({ message: 'understudyd listens', name, address, port }));
  await new Promise<void>((resolve) => {
    process.once('SIGTERM', () => resolve());
    process.once('SIGINT', () => resolve());
  });
  await running.stop();
}

async function invite({ valid, json = false }: Json & { valid: string }): Promise<void> {
  const result = await callApi<{ token: string; expiresAt: string }>({
    method: 'POST',
    path: '/pairing/invitation',
    body: { validMs: parseDurationMs(valid) },
  });
  print(json, result, ({ token }) => token);
  if (!json) console.error(`valid until ${result.expiresAt}, once`);
}

async function join(token: string, { json = false }: Json): Promise<void> {
  const peer = await runOperation<{ name: string; host: string }>({
    method: 'POST',
    path: '/pairing/join',
    body: { token },
  });
  print(json, peer, ({ name, host }) => `paired with node "${name}" (${host})`);
}

async function status(options: Json & { watch?: boolean }): Promise<void> {
  const { json = false, watch = false } = options;
  if (!watch) {
    print(json, await askStatus(), statusText);
    return;
  }
  if (!json && process.stdout.isTTY) {
    // Loaded only here: it is for people, and scripts start faster without it.
    const { canShowScreen, watchFullScreen } = await import('./watch/full-screen.ts');
    const streams = { input: process.stdin, output: process.stdout, env: process.env };
    if (canShowScreen(process.stdout, process.env)) {
      await watchFullScreen(localApi(), streams);
      return;
    }
  }
  for (;;) {
    const now = await askStatus();
    if (json) console.log(JSON.stringify(now));
    else console.log(`${new Date().toISOString()}\n${statusText(now)}\n`);
    await sleep(WATCH_INTERVAL_MS);
  }
}

async function askStatus(): Promise<ServiceStatus> {
  return callApi<ServiceStatus>({ method: 'GET', path: '/status' });
}

async function events(options: Json & { count: number; follow?: boolean }): Promise<void> {
  const { json = false, follow = false } = options;
  const show = (event: LoggedEvent): void =>
    console.log(json ? JSON.stringify(event) : line(event));
  const api = localApi();
  let last = -1;
  const showNew = (event: LoggedEvent): void => {
    if (event.id <= last) return;
    last = event.id;
    show(event);
  };
  // Followed before the past is asked for, so that nothing falls in between.
  const early: LoggedEvent[] = [];
  let take = (event: LoggedEvent): void => void early.push(event);
  const end = follow
    ? api.follow((name, data) => {
        if (name === 'event') take(data as LoggedEvent);
      })
    : undefined;
  end?.catch(() => undefined);
  const query = { count: options.count };
  const past = await api.call<{ events: LoggedEvent[] }>({ method: 'GET', path: '/events', query });
  for (const event of past.events.toReversed()) showNew(event);
  take = showNew;
  for (const event of early) showNew(event);
  if (end === undefined) return;
  await end.catch((cause: unknown) => {
    throw new UnderstudyError('DAEMON_NOT_RUNNING', 'the service has stopped', { cause });
  });
}

/** An event for people. */
export function line(event: LoggedEvent): string {
  const { at, level, code } = event;
  return `${at}  ${level.toUpperCase().padEnd(7)}  ${code}  ${printable(eventText(event))}`;
}
