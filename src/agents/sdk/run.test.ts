// Programs that agents run and keep running: deadlines, leftovers, and what they inherit.
import { spawn } from 'node:child_process';
import {
  appendFileSync,
  existsSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { livingProcess, livingProcesses, processEntry, processesMarked } from './process-table.ts';
import {
  keepLogSmall,
  programProcesses,
  programState,
  startProgram,
  stopProgram,
} from './program.ts';
import { describeEnd, lastLine, run } from './run.ts';
import { connectTo, waitForPort, waitUntil } from './wait.ts';

let top = '';
const context = (timeoutMs = 20_000) => ({
  runtimeDirectory: top,
  logFile: join(top, 'log'),
  operation: 'op-1',
  signal: AbortSignal.timeout(timeoutMs),
});

beforeEach(() => (top = mkdtempSync(join(tmpdir(), 'understudy-run-'))));
afterEach(() => rmSync(top, { recursive: true, force: true }));

test('a program to its end: what it printed, how it ended, what it knows', async () => {
  const line = 'echo $UNDERSTUDY_OPERATION $MORE; echo bad >&2; cat; exit 3';
  const result = await run(line, { context: context(), env: { MORE: 'x' }, input: 'given' });
  expect(result).toMatchObject({ code: 3, stdout: 'op-1 x\ngiven', stderr: 'bad\n' });
  expect(describeEnd(result)).toBe('exit code 3');
  expect(lastLine(result.stdout)).toBe('given');
  await expect(run(['/no/such/program'], { context: context() })).rejects.toThrow(
    /"\/no\/such\/program" cannot be started: there is no such program/,
  );
});

test('one that is late is killed with what it started', async () => {
  const result = await run('sleep 61 & sleep 61', { context: context(), timeoutMs: 200 });
  expect(result.isLate).toBe(true);
  expect(describeEnd(result)).toMatch(/no end within/);
  expect(processesMarked('UNDERSTUDY_OPERATION', 'op-1')).toEqual([]);
});

test('one that floods its output costs no more than its tail', async () => {
  const { stdout } = await run('yes | head -c 5000000; echo end', { context: context() });
  expect(stdout.length).toBeLessThanOrEqual(64 * 1024);
  expect(lastLine(stdout)).toBe('end');
  const cpuMs = async (): Promise<number> => {
    const before = process.cpuUsage();
    const { isLate } = await run('exec yes', { context: context(), timeoutMs: 2000 });
    expect(isLate).toBe(true);
    const { user, system } = process.cpuUsage(before);
    return (user + system) / 1000;
  };
  // Without end: it is read now and then.
  expect(await cpuMs()).toBeLessThan(1000);
});

test('a program that is kept running: once, found again, ended with all it started', async () => {
  const program = { run: 'sleep 1000 & exec sleep 1000' };
  await startProgram(program, context());
  const first = programState(context());
  expect(first.state).toBe('ok');
  await startProgram(program, context());
  expect(programState(context()).pid).toBe(first.pid);
  const isWhole = (): boolean => programProcesses(context()).length === 2;
  await waitUntil(isWhole, { context: context() });
  // Its leader dies, what it had started lives: stopped, and in nobody's way.
  process.kill(first.pid ?? 0, 'SIGKILL');
  // Between the signal and its death it runs.
  await waitUntil(() => livingProcess(first.pid ?? 0) === undefined, { context: context() });
  expect(programState(context()).state).toBe('stopped');
  expect(programProcesses(context())).toHaveLength(1);
  await startProgram(program, context());
  await waitUntil(isWhole, { context: context() });
  const pids = programProcesses(context());
  process.kill(pids[0] ?? 0, 'SIGSTOP');
  await stopProgram(context(), { patienceMs: 2000 });
  expect(livingProcesses().filter(({ pid }) => pids.includes(pid))).toEqual([]);
  await stopProgram(context());
});

test('a program that leaves its session is ended with the rest', async () => {
  const escaped = join(top, 'escaped');
  const program = { run: `setsid sh -c 'echo $$ > ${escaped}; exec sleep 1000' & exec sleep 1000` };
  await startProgram(program, context());
  await waitUntil(() => existsSync(escaped), { context: context() });
  const pid = Number(readFileSync(escaped, 'utf8'));
  expect(programProcesses(context())).not.toContain(pid);
  await stopProgram(context(), { patienceMs: 2000 });
  expect(livingProcess(pid)).toBeUndefined();
  // Its main process dies: what has escaped is in the way of no start.
  await startProgram(program, context());
  const left = Number(readFileSync(escaped, 'utf8'));
  process.kill(programState(context()).pid ?? 0, 'SIGKILL');
  await waitUntil(() => programState(context()).state === 'stopped', { context: context() });
  await startProgram({ run: 'exec sleep 1000' }, context());
  expect(livingProcess(left)).toBeUndefined();
  await stopProgram(context());
});

test('a command that a killed service has left is killed before the next one, its daemon is not', async () => {
  const noteFile = join(top, 'command.json');
  const [begun, daemon] = [join(top, 'begun'), join(top, 'daemon')];
  const line = `setsid sleep 1000 & echo $! > ${daemon}; echo $$ > ${begun}; sleep 1000`;
  const code = `import { run } from ${JSON.stringify(new URL('run.ts', import.meta.url).href)};
    await run(${JSON.stringify(line)}, { noteFile: ${JSON.stringify(noteFile)}, context: { signal: AbortSignal.timeout(60_000) } });`;
  const service = spawn(process.execPath, ['--input-type=module', '-e', code], { stdio: 'ignore' });
  await waitUntil(() => existsSync(noteFile) && existsSync(begun), { context: context() });
  service.kill('SIGKILL');
  const [pid, kept] = [begun, daemon].map((path) => Number(readFileSync(path, 'utf8')));
  expect(livingProcess(pid ?? 0)).toBeDefined();
  await run('true', { context: context(), noteFile });
  expect(livingProcess(pid ?? 0)).toBeUndefined();
  expect(livingProcess(kept ?? 0)).toBeDefined();
  expect(existsSync(noteFile)).toBe(false);
  process.kill(kept ?? 0, 'SIGKILL');
  // A note of another life is not believed.
  writeFileSync(noteFile, JSON.stringify({ pid: process.pid, startTime: 1 }));
  await run('true', { context: context(), noteFile });
});

test('a log is kept small, however much was printed', () => {
  const path = join(top, 'flood.log');
  writeFileSync(path, Buffer.alloc(40 * 1024 * 1024, 'x'));
  appendFileSync(path, 'last words');
  keepLogSmall(path);
  expect(statSync(path).size).toBe(0);
  expect(statSync(`${path}.1`).size).toBe(4 * 1024 * 1024);
  expect(readFileSync(`${path}.1`, 'utf8').endsWith('last words')).toBe(true);
});

test('a pid file of another life is not believed', async () => {
  await startProgram({ run: 'exec sleep 1000' }, context());
  const kept = readFileSync(join(top, 'program.json'), 'utf8');
  await stopProgram(context());
  writeFileSync(join(top, 'program.json'), kept.replace(/"pid":\d+/, `"pid":${process.pid}`));
  expect(programState(context()).state).toBe('stopped');
  expect(programProcesses(context())).toEqual([]);
});

test('a program that ends at once has not started, and says why', async () => {
  const start = startProgram({ run: 'echo no licence; exit 1' }, context());
  await expect(start).rejects.toThrow(/ended right after its start \("no licence"\)/);
});

test('ports: accepted, refused, waited for', async () => {
  const server = createServer();
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
  const address = server.address();
  const port = typeof address === 'object' && address !== null ? address.port : 0;
  expect(await connectTo({ port }, { context: context() })).toBeGreaterThan(0);
  await waitForPort(port, { context: context() });
  await new Promise((done) => server.close(done));
  await expect(connectTo({ port }, { context: context() })).rejects.toThrow(/refuses connections/);
  await expect(waitForPort(port, { context: context(200) })).rejects.toThrow();
});

test('one that is given up while an earlier one is being killed does not run', async () => {
  const noteFile = join(top, 'note.json');
  const earlier = spawn('sleep', ['60'], { detached: true, stdio: 'ignore' });
  const startTime = processEntry(earlier.pid ?? 0)?.startTime;
  writeFileSync(noteFile, JSON.stringify({ pid: earlier.pid, startTime }));
  const control = new AbortController();
  const ran = run(`touch ${top}/ran; sleep 5`, { context: control, noteFile });
  control.abort();
  await expect(ran).rejects.toThrow();
  expect(existsSync(join(top, 'ran'))).toBe(false);
});

test('what has a process group of its own ends with the program, too', async () => {
  const text = `timeout 61 sleep 62 | cat`;
  const result = await run(text, { context: context(), timeoutMs: 300, env: { RUN_TEST: top } });
  expect(result.isLate).toBe(true);
  expect(processesMarked('RUN_TEST', top)).toEqual([]);
});
