// The three languages say the same: the same keys, the same placeholders, nothing empty.
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { LANGUAGES } from './app/languages.ts';

const top = join(import.meta.dirname, 'locales');
type Texts = { readonly [key: string]: string | Texts };

/** i18next's endings for numbers: languages have different ones of them. */
const PLURAL = /_(zero|one|two|few|many|other)$/;

function flat(texts: Texts, prefix = ''): Map<string, string> {
  const found = new Map<string, string>();
  for (const [key, value] of Object.entries(texts)) {
    if (typeof value === 'string') found.set(`${prefix}${key}`, value);
    else for (const [path, text] of flat(value, `${prefix}${key}.`)) found.set(path, text);
  }
  return found;
}

function keysOf(texts: Map<string, string>): Map<string, string> {
  const keys = new Map<string, string>();
  for (const [path, text] of texts) {
    const names = [...text.matchAll(/\{\{\s*(\w+)/g)].map(([, name]) => name);
    const tags = [...text.matchAll(/<(\w+)\/?>/g)].map(([, name]) => name);
    const key = path.replace(PLURAL, '');
    // "1 file" needs no {{count}}: the form for many counts.
    const isMany = !path.endsWith('_one');
    if (isMany || !keys.has(key)) keys.set(key, [...new Set([...names, ...tags])].sort().join());
  }
  return keys;
}

function load(language: string, file: string): Map<string, string> {
  return flat(JSON.parse(readFileSync(join(top, language, file), 'utf8')) as Texts);
}

const files = readdirSync(join(top, 'en')).filter((name) => name.endsWith('.json'));

test('each language has the same files', () => {
  for (const language of LANGUAGES) {
    expect(readdirSync(join(top, language)).sort()).toEqual(files.toSorted());
  }
});

test.each(files)('%s: the same keys and placeholders, nothing empty', (file) => {
  const english = keysOf(load('en', file));
  for (const language of LANGUAGES) {
    const texts = load(language, file);
    expect([language, Object.fromEntries(keysOf(texts))]).toEqual([
      language,
      Object.fromEntries(english),
    ]);
    expect([...texts].filter(([, text]) => text.trim() === '')).toEqual([]);
  }
});

test('English has a form for one of what is counted', () => {
  // How many characters a password has at least is always more.
  const counted = /\{\{(count|files|objects|total|done)\}\} (more )?[a-z]+s\b/;
  const found = files
    .flatMap((file) => [...load('en', file)])
    .filter(([path, text]) => counted.test(text) && !PLURAL.test(path))
    .filter(([path]) => !path.startsWith('password.'));
  expect(found).toEqual([]);
});

test('simplified and traditional characters are not mixed', () => {
  // Common ones that differ; one of them in the wrong file was copied there.
  const wrongIn = { 'zh-CN': /[備態檢設變節點續資員碼請]/, 'zh-TW': /[备态检设变节续资员码请点]/ };
  for (const [language, wrong] of Object.entries(wrongIn)) {
    for (const file of files) {
      const mixed = [...load(language, file)].filter(([, text]) => wrong.test(text));
      expect([language, file, mixed]).toEqual([language, file, []]);
    }
  }
});
