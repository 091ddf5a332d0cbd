// "understudy status --watch" on a real pseudo terminal, with a real service behind it.
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import { standInPrograms, TestNode, until } from '../../service/fixtures/two-nodes.ts';
import { processState, PseudoTerminal } from '../fixtures/pseudo-terminal.ts';

const BIN = resolve(import.meta.dirname, '../../../bin/understudy');
const ADDRESS = `127.${64 + (process.pid % 128)}.253.1`;
const PATIENCE_MS = 20_000;

let top = '';
let node: TestNode;
let env: NodeJS.ProcessEnv = {};
let pty: PseudoTerminal;

beforeAll(async () => {
  top = mkdtempSync(join(tmpdir(), 'understudy-watch-'));
  mkdirSync(join(top, 'stand-in'));
  node = new TestNode({ top, name: 'one', address: ADDRESS, programs: standInPrograms });
  await node.init();
  await node.start();
  env = {
    ...process.env,
    UNDERSTUDY_ETC: node.paths.etc,
    UNDERSTUDY_STATE: node.paths.state,
    UNDERSTUDY_RUN: node.paths.run,
    TERM: 'xterm-256color',
    LANG: 'C.UTF-8',
    NO_COLOR: undefined,
    FORCE_COLOR: undefined,
  };
});
afterAll(async () => {
  await node.stop();
  rmSync(top, { recursive: true, force: true });
});
beforeEach(() => {
  pty = new PseudoTerminal(80, 24);
});
afterEach(() => pty.close());

const start = (change: NodeJS.ProcessEnv = {}) =>
  pty.run(BIN, ['status', '--watch'], { ...env, ...change });

async function shows(text: string): Promise<void> {
  await until(`the terminal shows "${text}"`, async () => showsNow(text), PATIENCE_MS).catch(
    (cause: unknown) => {
      throw new Error(`it shows:\n${pty.lines.join('\n')}`, { cause });
    },
  );
}

const showsNow = (text: string): boolean => pty.lines.some((line) => line.includes(text));

test('shows the node, follows the size, waits for a service that is restarted, ends with Ctrl-C', async () => {
  const child = start();
  await shows(`node one (${ADDRESS}), not paired`);
  expect(pty.isAlternate).toBe(true);
  expect(pty.lines[23]).toContain('q quits');

  pty.resize(40, 10);
  await until('the last line is where it belongs', async () => pty.lines[9]?.includes('q quits'));
  expect(pty.lines.slice(0, 9).some((line) => line.includes('q quits'))).toBe(false);

  await node.stop();
  await shows('! the service does not answer since');
  await node.start();
  await until('it is heard again', async () => !showsNow('does not answer'), PATIENCE_MS);

  pty.type('\u0003');
  const [code, signal] = (await once(child, 'exit')) as [number | null, string | null];
  expect([code, signal]).toEqual([0, null]);
  await until('the terminal is given back', async () => !pty.isAlternate);
  expect(pty.written.endsWith('\u001b[?25h\u001b[?1049l')).toBe(true);
});

test('killed, it gives the terminal back and says by what it ended', async () => {
  const child = start({ NO_COLOR: '1' });
  await shows('node one');
  child.kill('SIGTERM');
  const [, signal] = (await once(child, 'exit')) as [number | null, string | null];
  expect(signal).toBe('SIGTERM');
  await until('the terminal is given back', async () => !pty.isAlternate);
  // Weight, and no colour.
  expect(pty.written).toContain('\u001b[1m');
  expect(pty.written).not.toMatch(/\[(?:\d+;)*3[0-7]m/);
});

test('Ctrl-Z lends the terminal to the shell until it goes on', async () => {
  const child = start();
  const pid = child.pid ?? 0;
  await shows('node one');
  pty.type('\u001a');
  await until('it is stopped', async () => processState(pid) === 'T');
  await until('the terminal is given back', async () => !pty.isAlternate);
  child.kill('SIGCONT');
  await until('it is back', async () => pty.isAlternate && showsNow('node one'), PATIENCE_MS);
  pty.type('q');
  expect(await once(child, 'exit')).toEqual([0, null]);
});

test('a terminal that can do nothing gets lines', async () => {
  const child = start({ TERM: 'dumb' });
  await shows('no groups');
  expect(pty.written).not.toContain('\u001b');
  child.kill('SIGTERM');
  await once(child, 'exit');
});
