// Commands about access tokens of the API: token create|list|revoke.
import { Option, type Command } from 'commander';
import { parseDurationMs } from '../core/units.ts';
import { ROLES } from '../service/admin-api/caller.ts';
import type { TokenView } from '../service/admin-api/tokens.ts';
import { callApi, segment } from './admin.ts';
import { print, table } from './output.ts';

interface Json {
  readonly json?: boolean;
}

interface CreateOptions extends Json {
  readonly role: string;
  readonly valid?: string;
}

export function addTokenCommands(program: Command): void {
  const token = program.command('token').description('who may use the API of this node');
  token
    .command('create')
    .description('print an access token, this once')
    .argument('<name>')
    .addOption(new Option('--role <role>', 'what it may do').choices([...ROLES]).default('viewer'))
    .option('--valid <duration>', 'how long; default: until it is revoked')
    .option('--json', 'print JSON')
    .action(create);
  token
    .command('list')
    .description('show all access tokens, without their secrets')
    .option('--json', 'print JSON')
    .action(async ({ json = false }: Json) => {
      print(json, await callApi<TokenView[]>({ method: 'GET', path: '/tokens' }), tokensText);
    });
  token
    .command('revoke')
    .description('end an access token, by its name or id')
    .argument('<name>')
    .option('--json', 'print JSON')
    .action(async (name: string, { json = false }: Json) => {
      const path = `/tokens/${segment(name)}`;
      const revoked = await callApi<TokenView>({ method: 'DELETE', path });
      print(json, revoked, () => `access token "${revoked.name}" is revoked`);
    });
}

async function create(name: string, options: CreateOptions): Promise<void> {
  const { role, valid, json = false } = options;
  const body = { name, role, ...(valid === undefined ? {} : { validMs: parseDurationMs(valid) }) };
  const made = await callApi<TokenView & { token: string; fingerprint: string }>({
    method: 'POST',
    path: '/tokens',
    body,
  });
  print(json, made, ({ token }) => token);
  if (json) return;
  console.error(`role ${role}; it is shown this once`);
  console.error(`SHA-256 of the certificate of this node: ${made.fingerprint}`);
}

export function tokensText(tokens: readonly TokenView[]): string {
  if (tokens.length === 0) return 'no access tokens';
  const rows = tokens.map(({ id, name, role, createdAt, expiresAt, usedAt }) => [
    name,
    role,
    id,
    createdAt,
    expiresAt ?? 'never',
    usedAt ?? 'never',
  ]);
  return table([['NAME', 'ROLE', 'ID', 'CREATED', 'ENDS', 'USED'], ...rows]);
}
