// docs/errors.md lists exactly the error and event codes that the program has.
import { readdirSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { expect, test } from 'vitest';

const root = resolve(import.meta.dirname, '../..');
const source = readdirSync(join(root, 'src'), { recursive: true, encoding: 'utf8' })
  .filter(
    (name) =>
      name.endsWith('.ts') &&
      !name.endsWith('.test.ts') &&
      !name.includes('fixtures') &&
      // What a browser makes of a node's answers has codes of its own.
      !name.startsWith('console/web/'),
  )
  .map((name) => readFileSync(join(root, 'src', name), 'utf8'))
  .join('\n');
const [errorsPart = '', eventsPart = ''] = readFileSync(join(root, 'docs/errors.md'), 'utf8').split(
  '\n## Events',
);

function documented(part: string): string[] {
  const rows = part.split('\n').filter((line) => line.startsWith('| `'));
  const codes = rows.flatMap((row) => [
    ...(row.split('|')[1] ?? '').matchAll(/`([A-Z][A-Z0-9_]+)`/g),
  ]);
  return codes.map(([, code]) => code ?? '').toSorted();
}

function used(pattern: RegExp): string[] {
  const codes = [...source.matchAll(pattern)].map((match) => match.slice(1).find(Boolean) ?? '');
  return [...new Set(codes)].toSorted();
}

/** Codes of a documented list that the program nowhere names. */
function stale(codes: readonly string[]): string[] {
  return codes.filter((code) => !source.includes(`'${code}'`));
}

test('every error code is documented, and every documented one exists', () => {
  const codes = used(/(?:UnderstudyError\(\s*|code: )'([A-Z][A-Z0-9_]+)'/g);
  expect(codes.filter((code) => !documented(errorsPart).includes(code))).toEqual([]);
  expect(stale(documented(errorsPart))).toEqual([]);
});

test('every event code is documented, and every documented one exists', () => {
  const codes = used(/(?:[vV]ent|emit)\(\s*'(?:info|warning|error)',\s*'([A-Z][A-Z0-9_]+)'/g);
  expect(codes.filter((code) => !documented(eventsPart).includes(code))).toEqual([]);
  expect(stale(documented(eventsPart))).toEqual([]);
});

test('the lists are read at all', () => {
  expect(documented(errorsPart).length).toBeGreaterThan(80);
  expect(documented(eventsPart).length).toBeGreaterThan(25);
});

test('both READMEs name the same documents and commands', () => {
  const [english, chinese] = ['README.md', 'README.zh-TW.md'].map((name) => {
    const page = readFileSync(join(root, name), 'utf8');
    const documents = [...page.matchAll(/\]\((docs\/[\w/-]*(?:\.md)?)\)/g)].map(([, path]) => path);
    const blocks = [...page.matchAll(/^```\w*\n([^]*?)^```/gm)].map(([, text = '']) =>
      text.replaceAll(/ *#.*/g, ''),
    );
    return { documents: [...new Set(documents)].toSorted(), blocks };
  });
  expect(english?.documents.length).toBeGreaterThan(15);
  expect(chinese).toEqual(english);
});
