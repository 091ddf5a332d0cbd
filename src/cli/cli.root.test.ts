// The command as people and scripts run it: exit codes, text, JSON, links, working directories.
import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { livingProcess } from '../agents/sdk/process-table.ts';
import { until } from '../service/fixtures/two-nodes.ts';

const BIN = resolve(import.meta.dirname, '../../bin/understudy');
const ADDRESS = `127.${200 + (process.pid % 50)}.${Math.floor(process.pid / 50) % 250}.1`;

let top = '';
let env: NodeJS.ProcessEnv = {};
let daemon: ChildProcess | undefined;

function run(...argv: string[]) {
  const { status, stdout, stderr } = spawnSync(BIN, argv, { env, cwd: '/', encoding: 'utf8' });
  return { code: status, stdout, stderr };
}

beforeAll(() => {
  top = mkdtempSync(join(tmpdir(), 'understudy-cli-'));
  env = {
    ...process.env,
    UNDERSTUDY_ETC: join(top, 'etc'),
    UNDERSTUDY_STATE: join(top, 'state'),
    UNDERSTUDY_RUN: join(top, 'run'),
    NODE_COMPILE_CACHE: join(top, 'cache'),
  };
});
afterAll(async () => {
  const running = daemon;
  if (running !== undefined && running.exitCode === null) {
    const ended = new Promise((done) => {
      running.once('exit', done);
    });
    running.kill('SIGTERM');
    await ended;
  }
  rmSync(top, { recursive: true, force: true });
});

test('wrong usage: exit code 2 and a hint', () => {
  const wrong = [
    ['understudy', 'bogus'],
    ['understudy join', 'join'],
    ['understudy status', 'status', '--bogus'],
    ['understudy takeover', 'takeover'],
    ['understudy group create', 'group', 'create', 'shop'],
  ];
  for (const [path, ...argv] of wrong) {
    const { code, stderr } = run(...argv);
    expect([argv, code]).toEqual([argv, 2]);
    expect(stderr).toContain(`usage: ${path} [options]`);
    expect(stderr).toContain(`"${path} --help"`);
  }
  expect(run('--help').code).toBe(0);
});

test('whoever reads the output may go away', async () => {
  const child = spawn(BIN, ['completion', 'bash'], { env, stdio: ['ignore', 'pipe', 'pipe'] });
  child.stdout.destroy();
  let said = '';
  child.stderr.on('data', (data: Buffer) => (said += data.toString()));
  await new Promise((done) => {
    child.once('close', done);
  });
  expect(said).toBe('');
});

test('without the service: exit code 1, the way out, and JSON when asked', () => {
  const text = run('status');
  expect(text.code).toBe(1);
  expect(text.stderr).toContain('understudy init');
  const json = run('status', '--json');
  expect(json.code).toBe(1);
  expect(JSON.parse(json.stdout)).toMatchObject({ error: { code: 'NOT_INITIALISED' } });
  expect(run('daemon').stderr).toContain('understudy init');
});

test('init, once', () => {
  const first = run('init', '--name', 'one', '--address', ADDRESS, '--json');
  expect(first.code).toBe(0);
  expect(JSON.parse(first.stdout)).toMatchObject({ name: 'one', address: ADDRESS, port: 7440 });
  expect(run('init', '--name', 'one', '--address', ADDRESS).stderr).toContain(
    '[ALREADY_INITIALISED]',
  );
  const wrong = run('init', '--name', 'Not A Name', '--address', ADDRESS);
  expect(wrong.code).toBe(2);
  expect(wrong.stderr).toContain('lower-case letters');
  expect(run('status').stderr).toContain('[DAEMON_NOT_RUNNING]');
});

test('init that was interrupted, or whose identity was lost, gives what node.yaml says an identity', () => {
  const half = { ...env, UNDERSTUDY_ETC: join(top, 'etc3'), UNDERSTUDY_STATE: join(top, 'state3') };
  const init = (...args: string[]) =>
    spawnSync(BIN, ['init', ...args], { env: half, encoding: 'utf8' });
  expect(init('--name', 'one', '--address', ADDRESS, '--port', '7450').status).toBe(0);
  rmSync(join(half.UNDERSTUDY_STATE, 'identity'), { recursive: true });
  expect(init('--name', 'two', '--address', ADDRESS).stderr).toContain('[ALREADY_INITIALISED]');
  const again = init('--json');
  expect([again.status, again.stderr]).toEqual([0, '']);
  expect(JSON.parse(again.stdout)).toMatchObject({ name: 'one', port: 7450 });
  expect(existsSync(join(half.UNDERSTUDY_STATE, 'identity', 'certificate.pem'))).toBe(true);
});

test('an address that this machine has not got is worth a warning', () => {
  const elsewhere = {
    ...env,
    UNDERSTUDY_ETC: join(top, 'etc2'),
    UNDERSTUDY_STATE: join(top, 'state2'),
  };
  const argv = [
    'init',
    '--name',
    'one',
    '--address',
    '192.0.2.1',
    '--replication-address',
    ADDRESS,
  ];
  const { status, stderr } = spawnSync(BIN, argv, { env: elsewhere, encoding: 'utf8' });
  expect(status).toBe(0);
  expect(stderr).toContain('no address 192.0.2.1 at present');
  expect(stderr).not.toContain(ADDRESS);
});

test('a value that is written wrongly: exit code 2, as for the command itself', () => {
  const { code, stderr } = run('invite', '--valid', '5parsecs');
  expect(code).toBe(2);
  expect(stderr).toContain('[DURATION_INVALID]');
});

test('a service whose socket cannot be made ends, and says why', () => {
  const socket = join(top, 'run', 'understudyd.sock');
  mkdirSync(socket, { recursive: true });
  const { status, stderr } = spawnSync(BIN, ['daemon'], { env, encoding: 'utf8', timeout: 30_000 });
  expect([status, stderr]).toEqual([1, expect.stringContaining('[CONTROL_SOCKET_IN_USE]')]);
  rmSync(socket, { recursive: true });
});

test('doctor finds this machine able, with the service stopped and running', async () => {
  const { code, stdout } = run('doctor', '--json');
  const { ok, findings } = JSON.parse(stdout) as {
    ok: boolean;
    findings: { check: string; level: string; remedy: string | null }[];
  };
  expect(findings.filter(({ level }) => level === 'error')).toEqual([]);
  expect([ok, code]).toEqual([true, 0]);
  expect(findings.map(({ check }) => check)).toContain('/dev/fuse');

  // It outlives who reads its output: everything below asks it.
  daemon = spawn(BIN, ['daemon'], { env, stdio: ['ignore', 'pipe', 'pipe'] });
  daemon.stdout?.destroy();
  daemon.stderr?.destroy();
  await until('the service answers', async () => run('status').code === 0, 30_000);
  expect(run('doctor').stdout).toContain('understudyd runs');
  const second = run('daemon');
  expect([second.code, second.stderr]).toEqual([1, expect.stringContaining('[DAEMON_RUNNING]')]);
});

test('through links and from anywhere', () => {
  mkdirSync(join(top, 'links'));
  symlinkSync(BIN, join(top, 'links', 'first'));
  symlinkSync('first', join(top, 'links', 'second'));
  const { status, stdout } = spawnSync(join(top, 'links', 'second'), ['status', '--json'], {
    env,
    cwd: join(top, 'links'),
    encoding: 'utf8',
  });
  expect(status).toBe(0);
  expect(JSON.parse(stdout)).toMatchObject({ node: { name: 'one' }, peer: null, groups: [] });
});

test('a group from a file that is missing, no YAML, or no group', () => {
  const file = join(top, 'group.yaml');
  expect(run('group', 'create', '--file', file).stderr).toContain('[FILE_UNREADABLE]');
  writeFileSync(file, 'a: [');
  expect(run('group', 'create', '--file', file).stderr).toContain('[CONFIG_INVALID]');
  writeFileSync(file, '- 1\n');
  expect(run('group', 'create', '--file', file).stderr).toContain('[GROUP_INVALID]');
  writeFileSync(file, 'name: shop\npaths: [{ dir: /srv/shop }]\nfoo: 1\n');
  const unknown = run('group', 'create', '--file', file, '--json');
  expect(JSON.parse(unknown.stdout)).toMatchObject({
    error: { code: 'GROUP_INVALID', message: expect.stringContaining('"foo"') as string },
  });
  writeFileSync(file, 'name: shop\npaths: [{ dir: /srv/shop }]\n');
  expect(run('group', 'create', '--file', file).stderr).toContain('[NOT_PAIRED]');
});

test('invite prints nothing but the token on standard output', () => {
  const { stdout, stderr } = run('invite', '--valid', '10m');
  expect(stdout).toMatch(/^usy1\.[\w-]+\n$/);
  expect(stderr).toContain('valid until');
  expect(run('join', stdout.trim()).stderr).toContain('[JOIN_SELF]');
  expect(run('invite', '--valid', 'soon').stderr).toContain('[DURATION_INVALID]');
});

test('events as text and as JSON lines', () => {
  expect(run('events').stdout).toContain('SERVICE_STARTED');
  const lines = run('events', '--json', '--count', '1').stdout.trim().split('\n');
  expect(lines).toHaveLength(1);
  expect(JSON.parse(lines[0] ?? '')).toMatchObject({ code: 'SERVICE_STARTED', level: 'info' });
});

test('groups that do not exist', () => {
  for (const argv of [
    ['group', 'show', 'x'],
    ['group', 'delete', 'x'],
    ['switchover', 'x'],
    ['takeover', 'x', '--force'],
    ['yield', 'x'],
  ]) {
    const { code, stderr } = run(...argv);
    expect([argv, code]).toEqual([argv, 1]);
    expect(stderr).toContain('[GROUP_UNKNOWN]');
  }
});

test('an agent test that is broken off leaves nothing frozen', async () => {
  const application = spawn('sleep', ['60']);
  const parameters = join(top, 'parameters.yaml');
  writeFileSync(parameters, 'probe: "true"\n');
  const { pid = 0 } = application;
  const options = ['--params', parameters, '--processes', `echo ${pid}`, '--force'];
  const tester = spawn(BIN, ['agent', 'test', 'command', ...options], { env, stdio: 'ignore' });
  try {
    await until('the application is frozen', async () => livingProcess(pid)?.state === 'T');
    const ended = once(tester, 'exit');
    tester.kill('SIGINT');
    expect(await ended).toEqual([null, 'SIGINT']);
    expect(livingProcess(pid)?.state).toBe('S');
  } finally {
    application.kill('SIGKILL');
  }
});
