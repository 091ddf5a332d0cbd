// docs/api.md lists exactly the routes that there are, each with its role.
import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { expect, test } from 'vitest';
import type { ApiContext } from './context.ts';
import { allRoutes } from './routes.ts';

const page = readFileSync(resolve(import.meta.dirname, '../../../docs/api.md'), 'utf8');
const METHOD = /^(GET|POST|PUT|PATCH|DELETE)\b/;

/** What a row of the table says: routes share the words of a row, and roles come in the order of methods. */
function routesOf(row: string): string[] {
  const [, routes = '', roles = ''] = row.split(/(?<!\\)\|/);
  const names = roles.split(',').map((role) => role.trim());
  const told: { methods: string[]; path: string }[] = [];
  let open: string[] = [];
  for (const [, text = ''] of routes.matchAll(/`([^`]+)`/g)) {
    const [head = '', path = head] = text.split(' ');
    if (METHOD.test(head)) open.push(head);
    if (!path.startsWith('/')) continue;
    const methods = open.length > 0 ? open : (told.at(-1)?.methods ?? []);
    told.push({ methods, path: path.replace(/\?.*/, '') });
    open = [];
  }
  return told.flatMap(({ methods, path }) =>
    methods.map((method, index) => `${method} ${path} ${names[index] ?? names.at(-1)}`),
  );
}

test('every route is listed with its role, and every one that is listed exists', () => {
  const [, below = ''] = page.split('\n## Routes');
  const rows = below
    .split('\n')
    .filter((line) => /^\| `[A-Z]/.test(line) && !line.includes('/metrics'));
  const known = allRoutes(anything as ApiContext)
    .filter(({ path }) => !path.startsWith('//'))
    .map(({ method, path, role }) => `${method} ${path.replaceAll(/:\w+/g, 'X')} ${role}`);
  const listed = rows.flatMap(routesOf).map((text) => text.replaceAll(/\/[A-Z]+(?=[/ ])/g, '/X'));
  expect(known.length).toBeGreaterThan(50);
  expect(listed.toSorted()).toEqual(known.toSorted());
});

/** Routes are made of it and not called. */
const anything: unknown = new Proxy(() => undefined, {
  get: () => anything,
  apply: () => anything,
});
