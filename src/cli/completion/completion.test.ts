// Completion as a real bash does it, with a real service behind it, and without one.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { text } from 'node:stream/consumers';
import type { Command } from 'commander';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { defineGroup, parseGroupInput } from '../../service/group-definition.ts';
import { initialState } from '../../service/group-state.ts';
import { standInPrograms, TestNode, until } from '../../service/fixtures/two-nodes.ts';
import { PseudoTerminal } from '../fixtures/pseudo-terminal.ts';
import { buildProgram } from '../main.ts';
import { bashScript } from './bash.ts';
import { fishScript } from './fish.ts';
import { completedCommands } from './tree.ts';
import { zshScript } from './zsh.ts';

const BIN = resolve(import.meta.dirname, '../../../bin/understudy');
const ADDRESS = `127.${64 + (process.pid % 128)}.254.1`;

let top = '';
let script = '';
let node: TestNode;
let env: NodeJS.ProcessEnv = {};

beforeAll(async () => {
  top = mkdtempSync(join(tmpdir(), 'understudy-completion-'));
  script = join(top, 'understudy.bash');
  writeFileSync(script, bashScript(completedCommands(buildProgram())));
  mkdirSync(join(top, 'bin'));
  symlinkSync(BIN, join(top, 'bin', 'understudy'));
  mkdirSync(join(top, 'files', 'sub dir'), { recursive: true });
  writeFileSync(join(top, 'files', 'group.yaml'), '');
  mkdirSync(join(top, 'stand-in'));
  node = new TestNode({ top, name: 'one', address: ADDRESS, programs: standInPrograms });
  await node.init();
  await node.start();
  for (const name of ['shop', 'shipping', 'mail']) {
    const input = parseGroupInput({ name, paths: [{ dir: join(top, name) }] }, 'test');
    const options = { peerId: '0'.repeat(16), port: 7441, origin: 'test', agents: [] };
    node.service.addGroup(defineGroup(input, options), initialState('standby', 1));
  }
  env = {
    ...process.env,
    PATH: `${join(top, 'bin')}:${process.env['PATH']}`,
    UNDERSTUDY_RUN: node.paths.run,
    HISTFILE: undefined,
  };
});
afterAll(async () => {
  await node.stop();
  rmSync(top, { recursive: true, force: true });
});

/** What bash offers after each of these lines; words are as bash cuts them, the last is being typed. */
async function offers(
  lines: readonly (readonly string[])[],
  change: NodeJS.ProcessEnv = {},
): Promise<string[][]> {
  const asked = lines.map((words) => {
    const quoted = ['understudy', ...words].map((word) => `'${word}'`).join(' ');
    return `COMP_WORDS=(${quoted}); COMP_CWORD=${words.length}; COMPREPLY=()
_understudy understudy; printf '%s\\n' "\${COMPREPLY[@]}" --`;
  });
  // Not waited for in one go: the service runs in this process.
  const bash = spawn('bash', ['--norc', '-s'], {
    cwd: join(top, 'files'),
    env: { ...env, ...change },
  });
  bash.stdin.end([`source ${script}`, 'set -u', ...asked, ''].join('\n'));
  const [said, complained] = await Promise.all([text(bash.stdout), text(bash.stderr)]);
  expect(complained).toBe('');
  const answers = said.split('--\n').slice(0, -1);
  return answers.map((answer) => answer.split('\n').filter((line) => line !== ''));
}

const offer = async (...words: string[]): Promise<string[]> => (await offers([words]))[0] ?? [];

function leaves(command: Command, path: readonly string[]): [string[], Command][] {
  const own: [string[], Command] = [[...path], command];
  return [own, ...command.commands.flatMap((each) => leaves(each, [...path, each.name()]))];
}

test('every command and every option there is, and nothing else', async () => {
  const all = leaves(buildProgram(), []);
  expect(all.length).toBeGreaterThan(40);
  const options = await offers(all.map(([path]) => [...path, '--']));
  const words = await offers(
    all.map(([path]) => [...path, '']),
    { UNDERSTUDY_RUN: '/nowhere' },
  );
  all.forEach(([path, command], index) => {
    const own = command.options.map(({ long }) => long).filter((long) => long !== undefined);
    expect([path, options[index]?.toSorted()]).toEqual([path, [...own, '--help'].toSorted()]);
    if (command.commands.length === 0) return;
    const below = command.commands.map((each) => each.name());
    expect([path, words[index]?.toSorted()]).toEqual([path, below.toSorted()]);
  });
});

test('names of groups and nodes, as the service has them now', async () => {
  const [switchover, begun, show, to, equals, typed, second] = await offers([
    ['switchover', ''],
    ['group', 'show', 'sh'],
    ['group', 'show', '--json', ''],
    ['switchover', 'shop', '--to', ''],
    ['switchover', '--to', '=', 'o'],
    ['switchover', '--to', '=', 'one', 's'],
    ['switchover', 'shop', ''],
  ]);
  expect(switchover?.toSorted()).toEqual(['mail', 'shipping', 'shop']);
  expect(begun?.toSorted()).toEqual(['shipping', 'shop']);
  expect(show?.toSorted()).toEqual(['mail', 'shipping', 'shop']);
  expect([to, equals, typed?.toSorted(), second]).toEqual([
    ['one'],
    ['one'],
    ['shipping', 'shop'],
    [],
  ]);
});

test('values: files, directories, words, and nothing where nothing is known', async () => {
  expect(await offer('group', 'create', '--file', 'g')).toEqual(['group.yaml']);
  expect(await offer('group', 'create', '--dir', 's')).toEqual(['sub dir']);
  expect(await offer('group', 'create', '--mode', '')).toEqual(['sync', 'memory', 'async']);
  expect(await offer('group', 'create', '--mode', 'sync', '--comp')).toEqual([]);
  expect(await offer('completion', '')).toEqual(['bash', 'zsh', 'fish']);
  expect(await offer('events', '--count', '')).toEqual([]);
  expect(await offer('nonsense', '')).toEqual([]);
  // Whatever stands there, nothing is carried out and nothing is said.
  expect(await offer('switchover', '$(touch gone)', '')).toEqual([]);
});

describe('quick and silent', () => {
  test('without the service', async () => {
    const started = performance.now();
    expect(await offers([['switchover', '']], { UNDERSTUDY_RUN: '/nowhere' })).toEqual([[]]);
    expect(performance.now() - started).toBeLessThan(5000);
  });

  test('with one that does not answer', async () => {
    const run = join(top, 'hung');
    mkdirSync(run);
    const server = createServer(() => undefined);
    server.listen(join(run, 'understudyd.sock'));
    await once(server, 'listening');
    const pty = new PseudoTerminal(80, 24);
    const started = performance.now();
    const asked = pty.run(BIN, ['completion-names', 'groups'], { ...env, UNDERSTUDY_RUN: run });
    expect(await once(asked, 'exit')).toEqual([1, null]);
    expect(performance.now() - started).toBeLessThan(5000);
    expect(pty.written).toBe('');
    pty.close();
    server.close();
  });
});

test('somebody types in bash, and Tab completes', async () => {
  const pty = new PseudoTerminal(100, 24);
  const rc = join(top, 'rc');
  writeFileSync(rc, `PS1='ready> '\nsource <(understudy completion bash)\necho begun\n`);
  const bash = pty.run('bash', ['--noprofile', '--rcfile', rc, '-i'], { ...env, TERM: 'xterm' });
  const shows = async (line: string): Promise<unknown> =>
    until(
      `the line reads "${line}"`,
      async () => pty.lines.some((each) => each.trimEnd() === line),
      20_000,
    ).catch((cause: unknown) => {
      throw new Error(`it shows:\n${pty.lines.join('\n')}`, { cause });
    });
  await shows('ready>');
  pty.type('understudy swi\t');
  await shows('ready> understudy switchover');
  pty.type('ma\t');
  await shows('ready> understudy switchover mail');
  pty.type('--t\t');
  await shows('ready> understudy switchover mail --to');
  pty.type('\t');
  await shows('ready> understudy switchover mail --to one');
  pty.type('\u0015exit\r');
  await once(bash, 'exit');
  pty.close();
});

test('the scripts of the other shells name every command and option', () => {
  const commands = completedCommands(buildProgram());
  for (const written of [zshScript(commands), fishScript(commands)]) {
    for (const { options } of commands) {
      for (const { name } of options) expect(written).toContain(name.replace(/^--/, ''));
    }
    expect(written).not.toContain('undefined');
  }
});
