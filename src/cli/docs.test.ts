// docs/cli.md describes exactly the commands and options that there are.
import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import type { Command } from 'commander';
import { expect, test } from 'vitest';
import { buildProgram } from './main.ts';

const page = readFileSync(resolve(import.meta.dirname, '../../docs/cli.md'), 'utf8');

function leaves(command: Command, path: string): [string, Command][] {
  if (command.commands.length === 0) return [[path, command]];
  return command.commands.flatMap((child) => leaves(child, `${path} ${child.name()}`));
}

const commands = new Map(leaves(buildProgram(), 'understudy'));
const sections = new Map(
  page
    .split('\n## ')
    .slice(1)
    .map((section) => [section.split('\n')[0] ?? '', section]),
);

test('every command has a section, and every section a command', () => {
  expect([...sections.keys()].toSorted()).toEqual([...commands.keys()].toSorted());
});

test.each([...commands])('options of %s', (path, command) => {
  const own = command.options.map(({ long }) => long ?? '').toSorted();
  const lines = (sections.get(path) ?? '').split('\n').filter((line) => line.startsWith('- `--'));
  const documented = lines
    .flatMap((line) => [...(line.split(':')[0] ?? '').matchAll(/`(--[a-z-]+)/g)])
    .map(([, option]) => option ?? '');
  expect(documented.toSorted()).toEqual(own);
});

test('the help tells exit codes, and the version can be asked for', () => {
  const program = buildProgram();
  let help = '';
  program.configureOutput({ writeOut: (text) => (help += text) }).outputHelp();
  expect(help).toMatch(/Exit codes: 0 done, 1 failed .*, 2 the command/);
  expect(program.version()).toMatch(/^\d+\.\d+\.\d+/);
});

test('every command prints JSON on demand, but the one that does not end, and the one for shells', () => {
  const without = ['understudy daemon', 'understudy completion'];
  for (const [path, command] of commands) {
    const has = command.options.some(({ long }) => long === '--json');
    expect([path, has]).toEqual([path, !without.includes(path)]);
  }
});
