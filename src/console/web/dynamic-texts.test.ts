// Texts whose keys are made at run time: of everything that can be told there is a sentence.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { OPERATION_KINDS } from './group/operations/operations.ts';
import { consequencesOf, optionsOf } from './group/operations/requests.ts';
import { AGENT_TIMES } from './group/settings/agent-draft.ts';
import { SETTING_NAMES } from './group/settings/settings-draft.ts';
import { overviewOf } from './fixtures/overviews.ts';

const read = (path: string): string => readFileSync(join(import.meta.dirname, path), 'utf8');
const texts = (page: string): Record<string, unknown> =>
  JSON.parse(read(`locales/en/${page}.json`)) as Record<string, unknown>;
const at = (all: Record<string, unknown>, path: string): unknown =>
  path
    .split('.')
    .reduce<unknown>((part, key) => (part as Record<string, unknown> | undefined)?.[key], all);

test('every problem has a sentence, with the parameters that it is given', () => {
  const source = read('../fleet/problems.ts') + read('../fleet/overview.ts');
  const codes = [...source.matchAll(/problem\(\s*'\w+',\s*'([A-Z_]+)'/g)].map(([, code]) => code);
  expect(codes.length).toBeGreaterThan(18);
  const sentences = texts('problems');
  for (const code of codes) {
    const sentence = sentences[code ?? ''] ?? sentences[`${code}_other`];
    expect([code, typeof sentence]).toEqual([code, 'string']);
  }
});

test('every event has a title', () => {
  const [, events = ''] = read('../../../docs/errors.md').split('\n## Events');
  const rows = events.split('\n').filter((line) => line.startsWith('| `'));
  const codes = rows.flatMap((row) => [...(row.split('|')[1] ?? '').matchAll(/`([A-Z_]+)`/g)]);
  const known = codes.map(([, code]) => code).toSorted();
  expect(known.length).toBeGreaterThan(100);
  expect(Object.keys(texts('event-titles')).toSorted()).toEqual(known);
});

test('every operation has its words, every consequence and option a sentence', () => {
  const group = texts('group');
  const worst = overviewOf({
    isManaged: true,
    copy: 'syncing',
    problems: [{ code: 'HALTED', level: 'error', params: {} }],
  });
  for (const kind of OPERATION_KINDS) {
    const keys = [
      ...['button', 'title', 'submit', 'done'].map((key) => `operation.${kind}.${key}`),
      ...consequencesOf(kind, worst).map((key) => `operation.${key}`),
      ...optionsOf(kind, worst).map((key) =>
        key === 'name' ? 'option.name' : `option.${kind}.${key}`,
      ),
    ];
    for (const key of keys) expect([key, typeof at(group, key)]).toEqual([key, 'string']);
  }
});

test('every setting has a label and a help', () => {
  const group = texts('group');
  const keys = SETTING_NAMES.map((name) => name.slice(name.lastIndexOf('.') + 1)).flatMap(
    (name) => [`settings.label.${name}`, ...(name === 'mode' ? [] : [`settings.help.${name}`])],
  );
  for (const key of [...keys, ...AGENT_TIMES.map((name) => `settings.time.${name}`)]) {
    expect([key, typeof at(group, key)]).toEqual([key, 'string']);
  }
});

test('states that nodes tell of have words', () => {
  const group = texts('group');
  const known = (schema: string, name: string): string[] => {
    const list = new RegExp(`${name}: z\\.enum\\(\\[([^\\]]+)\\]`).exec(schema)?.[1] ?? '';
    return [...list.matchAll(/'([\w-]+)'/g)].map(([, word]) => word ?? '');
  };
  const protocol = read('../../service/node-protocol.ts');
  const states: readonly (readonly [string, readonly string[]])[] = [
    ['process', known(protocol, 'process')],
    ['agent', [...known(protocol, 'phase'), ...known(protocol, 'state')]],
    ['mode', ['sync', 'memory', 'async']],
  ];
  for (const [where, words] of states) {
    expect([where, words.length > 2]).toEqual([where, true]);
    for (const word of words) {
      expect([where, word, typeof at(group, `${where}.${word}`)]).toEqual([where, word, 'string']);
    }
  }
});
