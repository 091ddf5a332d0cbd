// Commands about consoles: console [start], console password.
import type { Command } from 'commander';
import type { NodeService } from '../service/node-service.ts';
import type { LoadedConsole } from '../service/people.ts';
import { print } from './output.ts';

interface Json {
  readonly json?: boolean;
}

export function addConsoleCommands(program: Command): void {
  const group = program
    .command('console')
    .description('the management console: many pairs in one window');
  group
    .command('start', { isDefault: true })
    .description('run a console on this machine, in the foreground')
    .option('--json', 'print JSON')
    .action(start);
  group
    .command('password')
    .description('give a user a one-time password; the first user becomes administrator')
    .argument('[user]', 'default: admin')
    .option('--json', 'print JSON')
    .action(async (user: string | undefined, { json = false }: Json) => {
      const { consolePaths } = await import('../console/console-paths.ts');
      const { FIRST_USER, givePassword } = await import('../console/first-user.ts');
      const { PasswordHasher } = await import('../console/access/passwords.ts');
      const { UserStore } = await import('../console/access/users.ts');
      const { makePrivateDirectory } = await import('../service/durable-file.ts');
      const paths = consolePaths(process.env);
      makePrivateDirectory(paths.state);
      const users = new UserStore(paths.users);
      const given = await givePassword(users, new PasswordHasher(), user ?? FIRST_USER);
      print(json, given, ({ password }) => password);
      if (!json) console.error(`for user "${given.user}", until another one is chosen`);
    });
}

async function start({ json = false }: Json): Promise<void> {
  // Loaded only here: the other commands start faster without a server.
  const { consolePaths } = await import('../console/console-paths.ts');
  const { readConsoleConfig } = await import('../console/console-config.ts');
  const { startStandAlone } = await import('../console/stand-alone.ts');
  const { installedVersion } = await import('../service/installation.ts');
  process.title = 'understudy console';
  const paths = consolePaths(process.env);
  const config = readConsoleConfig(paths);
  const running = await startStandAlone({ paths, config, version: installedVersion() });
  const { url, fingerprint, firstUser } = running;
  print(json, { url, fingerprint, firstUser: firstUser ?? null }, () =>
    [
      `the console listens on ${url}`,
      ...(fingerprint === null ? [] : [`SHA-256 of its certificate: ${fingerprint}`]),
      ...(firstUser === undefined
        ? []
        : [
            `log in as "${firstUser.user}" with the password ${firstUser.password} (shown this once)`,
          ]),
    ].join('\n'),
  );
  await new Promise<void>((resolve) => {
    process.once('SIGTERM', () => resolve());
    process.once('SIGINT', () => resolve());
  });
  await running.close();
}

/** For the service: the console on the node's own port. */
export async function loadNodeConsole(service: NodeService): Promise<LoadedConsole> {
  const { buildNodeConsole } = await import('../console/node-console.ts');
  return buildNodeConsole(service, process.env);
}
