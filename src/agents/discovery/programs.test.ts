import { join } from 'node:path';
import { expect, test } from 'vitest';
import { configurationNote, isOurs, proposeProgram } from './programs.ts';

const server = {
  pid: 7,
  program: '/usr/bin/node',
  workingDirectory: '/',
  uid: 0,
  ports: [{ port: 7440, isLocal: false }],
  sockets: [],
  unit: undefined,
  writes: ['/var/lib/understudy/log/shop.log', '/srv/orders'],
};

test('our own processes are no applications, and our state is no data of one', () => {
  const main = join(import.meta.dirname, '../../service/standby-main.ts');
  expect(proposeProgram({ ...server, arguments: ['understudyd'] })).toBeUndefined();
  expect(isOurs(['/usr/bin/node', main, '--spec', '/x'])).toBe(true);
  const shop = proposeProgram({ ...server, arguments: ['node', '/srv/shop.js'] });
  expect(shop?.group.paths).toEqual([{ dir: '/srv' }]);
});

test('a configuration that is not copied has to be kept the same on both nodes', () => {
  expect(configurationNote('/srv/www/nginx.conf', ['/srv/www'])).toEqual([]);
  expect(configurationNote('/etc/nginx', ['/srv/www'])).toEqual([
    'its configuration is in /etc/nginx: keep it the same on both nodes',
  ]);
});
