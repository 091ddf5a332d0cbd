// The application as it was built: small enough for a slow line, and nothing in its page that the policy would refuse.
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { expect, test } from 'vitest';
import { LANGUAGES } from './app/languages.ts';

const dist = join(import.meta.dirname, 'dist');
const BYTES_MAX = 500_000;
/** What the first page needs, with one language. */
const FIRST_BYTES_MAX = 300_000;

const files = existsSync(dist)
  ? readdirSync(join(dist, 'assets')).filter((name) => /\.(js|css)$/.test(name))
  : [];
const gzipped = (name: string): number =>
  gzipSync(readFileSync(join(dist, 'assets', name)), { level: 9 }).length;

test.skipIf(files.length === 0)('all of it together is small, compressed as it is sent', () => {
  const sizes = files.map((name) => [name, gzipped(name)] as const);
  const total = sizes.reduce((sum, [, bytes]) => sum + bytes, 0);
  expect(total).toBeLessThan(BYTES_MAX);
  for (const name of files) {
    const isLarge = readFileSync(join(dist, 'assets', name)).length >= 1024;
    expect([name, existsSync(join(dist, 'assets', `${name}.br`))]).toEqual([name, isLarge]);
  }
});

test.skipIf(files.length === 0)('what the page loads at once is less', () => {
  const page = readFileSync(join(dist, 'index.html'), 'utf8');
  // Of the languages, one is loaded.
  const others = LANGUAGES.slice(1).map((language) => `${language}-`);
  const first = files.filter(
    (name) => page.includes(name) && !others.some((other) => name.startsWith(other)),
  );
  expect(first.length).toBeGreaterThan(1);
  expect(first.reduce((sum, name) => sum + gzipped(name), 0)).toBeLessThan(FIRST_BYTES_MAX);
});

test.skipIf(files.length === 0)(
  'what runs first knows where the texts of each language are',
  () => {
    const page = readFileSync(join(dist, 'index.html'), 'utf8');
    const [tag = '', places = ''] =
      /<script src="\/assets\/early-\w+\.js" data-languages="([^"]+)">/.exec(page) ?? [];
    expect(page.indexOf(tag)).toBeLessThan(page.indexOf('type="module"'));
    const named = JSON.parse(places.replaceAll('&quot;', '"')) as Record<string, string>;
    expect(Object.keys(named)).toEqual([...LANGUAGES]);
    for (const place of Object.values(named)) expect(existsSync(join(dist, place))).toBe(true);
  },
);

test.skipIf(files.length === 0)('nothing in the page is inline, and its nonce has a place', () => {
  const page = readFileSync(join(dist, 'index.html'), 'utf8');
  expect(page).not.toMatch(/<script(?![^>]*\ssrc=)|<style|\sstyle=|\son\w+=/i);
  expect(page).not.toMatch(/(src|href)="(https?:)?\/\//);
  expect(page).toContain('<meta name="csp-nonce" content="__CSP_NONCE__"');
});
