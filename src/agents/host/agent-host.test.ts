// Somebody's own agents, good and bad, each in its process: what each does wrong has a clear outcome, and
// nobody but the agent suffers.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { AgentPool, type PooledAgent } from '../agent-pool.ts';
import { AgentCatalog } from '../catalog.ts';
import type { Operation, Outcome } from '../invoke.ts';
import { livingProcess } from '../sdk/process-table.ts';
import { AgentHost, endLeftHosts } from './agent-host.ts';

const PATIENCE_MS = 20_000;

let top = '';
let pool: AgentPool;
let troubles: string[] = [];

beforeEach(() => {
  top = mkdtempSync(join(tmpdir(), 'understudy-host-'));
  mkdirSync(join(top, 'agents'));
  troubles = [];
  pool = new AgentPool({
    group: 'shop',
    catalog: new AgentCatalog(join(top, 'agents')),
    logDirectory: top,
    runtimeDirectory: join(top, 'run'),
    onTrouble: (_name, sentence) => troubles.push(sentence),
  });
});
afterEach(() => {
  pool.close();
  rmSync(top, { recursive: true, force: true });
});

/** Writes an agent whose `probe` has this body. */
function write(name: string, probe: string, rest = '', extension = 'ts'): PooledAgent {
  writeFileSync(
    join(top, 'agents', `${name}.${extension}`),
    `import { defineAgent, run, z } from 'understudy/agent';
export default defineAgent({
  name: '${name}', title: 'Test', description: 'For a test',
  parameters: z.strictObject({ port: z.int().default(80).describe('where it listens') }),
  defaults: { probeIntervalMs: 1234 },
  async probe({ port }, context) { ${probe} },
  ${rest}
});
`,
  );
  return { use: name, name, parameters: {} };
}

async function call(
  agent: PooledAgent,
  operation: Operation = 'probe',
  timeoutMs = 5000,
  signal = new AbortController().signal,
): Promise<Outcome> {
  const role = 'primary' as const;
  const context = { role, directories: ['/srv/shop'], addresses: [], timeoutMs, signal };
  return pool.invoke(agent, operation, context);
}

const till = (parameters: object): PooledAgent => ({ use: 'till', name: 'till', parameters });

async function until(isTrue: () => boolean): Promise<void> {
  const deadline = performance.now() + PATIENCE_MS;
  while (!isTrue()) {
    if (performance.now() > deadline) throw new Error(`not in time: ${troubles.join('\n')}`);
    await sleep(20);
  }
}

test.each(['ts', 'mjs', 'js'])(
  'a good one (%s) is described, checked and called',
  async (extension) => {
    const body = `context.log('asked'); return { state: 'ok', sentence: 'port ' + port, measures: { port } };`;
    const agent = write('good', body, 'async start() {},', extension);
    expect(await pool.describe('good')).toMatchObject({
      name: 'good',
      defaults: { probeIntervalMs: 1234 },
      functions: ['start'],
      parameters: { properties: { port: { default: 80, description: 'where it listens' } } },
    });
    expect(await pool.check('good', { port: 'x' })).toMatchObject({
      fault: expect.stringContaining('"port"'),
    });
    expect(await pool.check('good', { prt: 1 })).toMatchObject({
      fault: expect.stringMatching(/"prt" \(allowed: port\)/),
    });
    expect(await call({ ...agent, parameters: { port: 81 } })).toMatchObject({
      kind: 'done',
      value: { state: 'ok', sentence: 'port 81', measures: { port: 81 } },
    });
    expect(await call(agent, 'start')).toMatchObject({ kind: 'done' });
    // What it does not have is nothing to do.
    expect(await call(agent, 'stop')).toMatchObject({ kind: 'done' });
    expect(await call(agent, 'validate')).toMatchObject({ kind: 'done', value: [] });
    await until(() => readFileSync(join(top, 'shop.agents.log'), 'utf8').includes('good: asked'));
    expect(troubles).toEqual([]);
  },
);

test.each([
  [
    'throws',
    `throw new Error('the port is closed');`,
    { kind: 'failed', why: 'the port is closed' },
  ],
  ['nothing', '', { kind: 'unusable', why: expect.stringContaining('contract') }],
  ['boolean', 'return true;', { kind: 'unusable', why: expect.stringContaining('contract') }],
  ['state', `return { state: 'fine', sentence: 'x' };`, { kind: 'unusable' }],
  ['mute', `return { state: 'ok', sentence: '' };`, { kind: 'unusable' }],
  ['circle', `const a = { state: 'ok' }; a.a = a; return a;`, { kind: 'unusable' }],
  [
    'never',
    'await new Promise(() => {});',
    { kind: 'late', why: expect.stringContaining('500 ms') },
  ],
  ['huge', `return { state: 'ok', sentence: 'x'.repeat(9e6) };`, { kind: 'done' }],
  ['exits', 'process.exit(3);', { kind: 'unusable', why: expect.stringContaining('exit code 3') }],
  ['loops', 'for (;;);', { kind: 'late' }],
])(
  'one that %s',
  async (name, body, outcome) => {
    const bad = write(name, body);
    const good = write('good', `return { state: 'ok', sentence: 'here' };`);
    expect(await call(good)).toMatchObject({ kind: 'done' });
    const [pid] = pool.pids;
    expect(await call(bad, 'probe', 500)).toMatchObject(outcome);
    // The neighbour did not even notice.
    expect(await call(good)).toMatchObject({ kind: 'done' });
    expect(pool.pids).toContain(pid);
  },
  30_000,
);

test('one that dies is started again; what its call had started is gone', async () => {
  const file = join(top, 'pid');
  const agent = write(
    'crash',
    `return { state: 'ok', sentence: 'here' };`,
    `async start(p, context) {
       void run('echo $$ > ${file}; sleep 1000', { context });
       await new Promise((resolve) => setTimeout(resolve, 300));
       setTimeout(() => { throw new Error('out of luck'); }, 0);
       await new Promise(() => {});
     },`,
  );
  const outcome = await call(agent, 'start');
  expect(outcome).toMatchObject({
    kind: 'unusable',
    why: expect.stringMatching(/exit code 1 \("Error: out of luck"\)/),
  });
  const pid = Number(readFileSync(file, 'utf8'));
  await until(() => livingProcess(pid) === undefined);
  expect(await call(agent)).toMatchObject({ kind: 'done' });
  expect(troubles).toHaveLength(1);
}, 30_000);

test('one that eats memory is ended, and prints no more than its share', async () => {
  const eater = write(
    'eater',
    `const all = []; for (;;) { all.push(Buffer.alloc(32 * 1024 * 1024, 1)); await new Promise((r) => setTimeout(r, 1)); }`,
  );
  const outcome = await call(eater, 'probe', 60_000);
  expect(outcome).toMatchObject({ kind: 'unusable', why: expect.stringMatching(/MiB of memory/) });
  const printer = write(
    'printer',
    `for (let i = 0; i < 200; i += 1) process.stdout.write('garbage\\n'.repeat(2000));
     return { state: 'ok', sentence: 'printed' };`,
  );
  expect(await call(printer)).toMatchObject({ kind: 'done' });
  await sleep(200);
  expect(statSync(join(top, 'shop.agents.log')).size).toBeLessThan(600_000);
}, 60_000);

test('a call that is given up ends its programs and leaves the host alive', async () => {
  const file = join(top, 'pid');
  const agent = write('slow', `await run('echo $$ > ${file}; sleep 1000', { context });`);
  const control = new AbortController();
  const called = call(agent, 'probe', 60_000, control.signal);
  await until(() => existsSync(file) && readFileSync(file, 'utf8') !== '');
  const pids = pool.pids;
  control.abort();
  expect(await called).toMatchObject({ kind: 'aborted' });
  await until(() => livingProcess(Number(readFileSync(file, 'utf8'))) === undefined);
  expect(pool.pids).toEqual(pids);
});

test.each([
  ['answers to nobody', '{"id":4711,"result":1}'],
  ['says again and again that it is ready', '{"ready":true}'],
])('one that %s is ended', async (_, line) => {
  const agent = write(
    'chatty',
    `const { writeSync } = await import('node:fs'); writeSync(3, ${JSON.stringify(line)} + '\\n'); return { state: 'ok', sentence: 'here' };`,
  );
  const outcome = await call(agent);
  expect(outcome).toMatchObject({ kind: 'unusable' });
  expect(troubles[0]).toContain('answers what it was not asked');
});

test('one that never begins says nothing about its application', async () => {
  const hang = join(top, 'hang.cjs');
  writeFileSync(hang, 'for (;;);');
  const host = new AgentHost({
    name: 'a test',
    logFile: join(top, 'host.log'),
    env: { NODE_OPTIONS: `--require ${hang}` },
    readyTimeoutMs: 500,
    onTrouble: (sentence) => troubles.push(sentence),
  });
  const signal = new AbortController().signal;
  const asked = host.call('describe', {}, { timeoutMs: 100, signal });
  await expect(asked).rejects.toMatchObject({ kind: 'died' });
  host.close();
});

test('one that loops ends with its service, and with the next one when that was killed', async () => {
  const loops = write('loops', 'for (;;);');
  void call(loops, 'probe', 60_000);
  await until(() => pool.pids.length === 1);
  const [pid = 0] = pool.pids;
  await sleep(1000);
  pool.close();
  await until(() => livingProcess(pid) === undefined);

  const code = `
    import { AgentHost } from ${JSON.stringify(new URL('agent-host.ts', import.meta.url).href)};
    const host = new AgentHost({ name: 'x', logFile: ${JSON.stringify(join(top, 'left.log'))}, onTrouble() {} });
    const source = { kind: 'module', name: 'loops', path: ${JSON.stringify(join(top, 'agents', 'loops.ts'))} };
    const context = { agent: 'loops', group: 'x' };
    const invocation = { operation: 'probe', parameters: {}, timeoutMs: 60_000, context };
    const signal = new AbortController().signal;
    host.call('invoke', { source, invocation }, { timeoutMs: 60_000, signal }).catch(() => undefined);
    while (host.pid === undefined) await new Promise((done) => setTimeout(done, 10));
    console.log(host.pid);
    setTimeout(() => process.kill(process.pid, 'SIGKILL'), 1500);
  `;
  const service = spawn(process.execPath, ['--input-type=module', '-e', code]);
  let said = '';
  service.stdout.on('data', (chunk: Buffer) => (said += chunk.toString()));
  await once(service, 'exit');
  expect(livingProcess(Number(said))).toBeDefined();
  expect(endLeftHosts('/elsewhere')).toBe(0);
  expect(endLeftHosts(top)).toBe(1);
  await until(() => livingProcess(Number(said)) === undefined);
}, 30_000);

test('one that was changed is loaded anew', async () => {
  const agent = write('good', `return { state: 'ok', sentence: 'first' };`);
  expect(await call(agent)).toMatchObject({ value: { sentence: 'first' } });
  write('good', `return { state: 'ok', sentence: 'second' };`);
  utimesSync(join(top, 'agents', 'good.ts'), 1, 1);
  expect(await call(agent)).toMatchObject({ value: { sentence: 'second' } });
});

test.each([
  ['syntax', 'export default {', /cannot be loaded/],
  ['missing', `import 'no-such-package'; export default {};`, /cannot be loaded.*no-such-package/],
  ['none', 'export const x = 1;', /no default export; write "export default defineAgent/],
  [
    'other',
    `export default { name: 'x' };`,
    /its name is "x", and has to be that of the file: "other"/,
  ],
  ['bare', `export default { name: 'bare', title: 'x', description: 'x' };`, /no zod schema/],
])('a file that is no agent: %s', async (name, text, message) => {
  writeFileSync(join(top, 'agents', `${name}.mjs`), text);
  await expect(pool.describe(name)).rejects.toThrow(message);
});

test('files that must not be run are named with what to do', () => {
  const catalog = new AgentCatalog(join(top, 'agents'));
  const put = (file: string, mode: number): void => {
    writeFileSync(join(top, 'agents', file), '');
    chmodSync(join(top, 'agents', file), mode);
  };
  put('open.ts', 0o666);
  put('plain', 0o644);
  put('Odd.ts', 0o644);
  put('notes.txt', 0o644);
  put('command.ts', 0o644);
  put('fine', 0o755);
  const { agents, faults } = catalog.list();
  expect(agents.filter(({ path }) => path !== null).map(({ name }) => name)).toEqual(['fine']);
  expect(faults.map(({ fault }) => fault.split(':')[0])).toEqual([
    'its name may have lower-case letters, digits and hyphens only, 40 at most',
    'there is another agent "command"',
    'it is no agent',
    'others than root may write it',
    'it cannot be executed',
  ]);
  expect(() => catalog.find('open')).toThrow(
    /open\.ts: others than root may write it: "chmod go-w"/,
  );
  expect(() => catalog.find('nothing')).toThrow(/no agent "nothing" \(known: .*fine/);
  chmodSync(join(top, 'agents'), 0o777);
  expect(() => catalog.find('fine')).toThrow(/others than root may write .*agents: "chmod go-w"/);
});

test('a program in any language, by its exit codes', async () => {
  const file = join(top, 'agents', 'till');
  writeFileSync(
    file,
    `#!/bin/sh
case $1 in
start) echo "starting on $OCF_RESKEY_port"; test "$OCF_RESKEY_port" != 1 ;;
stop) true ;;
monitor) echo "code $OCF_RESKEY_code" >&2; exit "$OCF_RESKEY_code" ;;
validate-all) test -n "$OCF_RESKEY_port" || { echo "port is missing" >&2; exit 6; } ;;
esac
`,
  );
  chmodSync(file, 0o755);
  for (const [code, state] of [
    [0, 'ok'],
    [7, 'stopped'],
    [190, 'degraded'],
    [1, 'failed'],
  ] as const) {
    const outcome = await call(till({ code }));
    expect(outcome).toMatchObject({ kind: 'done', value: { state } });
  }
  expect(await call(till({ port: 80 }), 'start')).toMatchObject({ kind: 'done' });
  expect(await call(till({ port: 1 }), 'start')).toMatchObject({
    kind: 'failed',
    why: expect.stringContaining('till start: it failed (exit code 1)'),
  });
  expect(readFileSync(join(top, 'shop.till.log'), 'utf8')).toContain('starting on 80');
  expect(await call(till({}), 'validate')).toMatchObject({
    value: [expect.stringMatching(/it is not configured \(exit code 6\): port is missing/)],
  });
  expect(await call(till({ 'a b': 1 }))).toMatchObject({ kind: 'failed' });
});

test('a call that is given up while its process starts is not made', async () => {
  const start = `async start() { await run('sleep 6', { context: { signal: AbortSignal.timeout(9000) } }); },`;
  const outcome = await call(write('slow', '', start), 'start', 30_000, AbortSignal.timeout(50));
  expect(outcome).toMatchObject({ kind: 'aborted' });
  expect(outcome.ms).toBeLessThan(5000);
});

test('without a descriptor left no process is started, and the service lives', async () => {
  const program = `import { closeSync, openSync } from 'node:fs';
import { AgentHost } from ${JSON.stringify(join(import.meta.dirname, 'agent-host.ts'))};
const host = new AgentHost({ name: 'shop', logFile: ${JSON.stringify(join(top, 'log'))}, onTrouble() {} });
const params = { source: { kind: 'builtin', name: 'tcp' } };
const options = { timeoutMs: 9000, signal: new AbortController().signal };
const ask = async () => host.call('describe', params, options).then((one) => one.name, String);
const files = [];
try { for (;;) files.push(openSync('/dev/null')); } catch {}
const said = await ask();
for (const file of files) closeSync(file);
process.stdout.write(said + '; ' + (await ask()));
host.close();`;
  const file = join(top, 'few.mjs');
  writeFileSync(file, program);
  const child = spawn('sh', ['-c', `ulimit -n 60; exec "$0" "$1"`, process.execPath, file]);
  let said = '';
  child.stdout.on('data', (chunk) => (said += String(chunk)));
  expect(await once(child, 'close')).toEqual([0, null]);
  expect(said).toBe(
    'Error: the agent process of shop cannot be started: too many files are open; tcp',
  );
});
