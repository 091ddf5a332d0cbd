// Programs that agents run and keep running: deadlines, leftovers, and what they inherit.
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { livingProcess, livingProcesses, processesMarked } from './process-table.ts';
import { programProcesses, programState, startProgram, stopProgram } from './program.ts';
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
