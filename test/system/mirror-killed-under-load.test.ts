// The standby equals the primary bit for bit after heavy work, with the mirror process killed at
// random moments. UNDERSTUDY_LONG=1 runs the sizes that the project promises.
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { NODE } from '../../lab/demo/application.ts';
import { CHECKOUT } from '../../lab/enter.ts';
import { DIRECTORY, PairUnderTest } from './pair-under-test.ts';

const long = process.env['UNDERSTUDY_LONG'] === '1';
const TIMEOUT_MS = long ? 5_400_000 : 170_000;

test(
  'random operations of several seeds',
  async () => {
    await PairUnderTest.with(async (pair) => {
      await pair.protect('sync');
      const program = join(CHECKOUT, 'test/support/random-ops.ts');
      const seeds = long ? [1, 2, 3, 4, 5, 6] : [1];
      const size = long ? ['--seconds', '600'] : ['--seconds', '10'];
      const kills = await pair.whileKillingMirror(async () => {
        for (const seed of seeds) {
          const dir = join(DIRECTORY, `seed-${seed}`);
          await pair.a.must(['mkdir', dir]);
          const argv = [NODE, program, dir, '--seed', String(seed), ...size];
          await pair.a.must(argv, { timeoutMs: 900_000 });
        }
      });
      expect(kills).toBeGreaterThan(0);
      // The hour's backlog does not fit the journal, so that a scan makes up for it.
      expect(await (long ? pair.differencesAfterScan() : pair.differences())).toEqual([]);
    });
  },
  TIMEOUT_MS,
);

test(
  'many small files: a tar is unpacked, a git repository cloned and checked out',
  async () => {
    await PairUnderTest.with(async (pair) => {
      await pair.protect('async');
      const files = long ? 50_000 : 1500;
      const make = `set -e; mkdir -p /srv/source; cd /srv/source; i=0; while [ $i -lt ${files} ]; do
        d=$((i / 500)); [ -d $d ] || mkdir $d; echo "file $i" > $d/$i; i=$((i + 1)); done; tar cf /srv/source.tar .
        git init -q .; git add .; git -c user.name=t -c user.email=t@localhost commit -qm one; git rm -rqf 0; git mv 1 one
        git -c user.name=t -c user.email=t@localhost commit -qm two`;
      await pair.a.must(['sh', '-c', make], { timeoutMs: 600_000 });
      await pair.whileKillingMirror(async () => {
        const unpack = ['tar', 'xf', '/srv/source.tar', '-C', DIRECTORY];
        await pair.a.must(unpack, { timeoutMs: 900_000 });
        const work = `cd ${DIRECTORY}; git clone -q /srv/source repo && cd repo && git checkout -q HEAD~1 && git checkout -q -`;
        await pair.a.must(['sh', '-c', work], { timeoutMs: 900_000 });
      });
      expect(await pair.differences()).toEqual([]);
    });
  },
  TIMEOUT_MS,
);

const MARIADB = '/usr/sbin/mariadbd';
test.runIf(existsSync(MARIADB))(
  'MariaDB and SQLite under load',
  async () => {
    await PairUnderTest.with(async (pair) => {
      await pair.protect('sync');
      const seconds = long ? 120 : 8;
      const data = join(DIRECTORY, 'mariadb');
      const socket = '/run/mariadb/socket';
      await pair.a.must(['install', '-d', '-o', 'mysql', '-g', 'mysql', data, '/run/mariadb']);
      const install = ['mariadb-install-db', '--user=mysql', `--datadir=${data}`, '--skip-test-db'];
      await pair.a.must(install, { timeoutMs: 170_000 });
      const options = [
        `--datadir=${data}`,
        `--socket=${socket}`,
        '--skip-networking',
        '--user=mysql',
      ];
      const server = pair.a.spawn([MARIADB, ...options], { stdio: 'ignore' });
      const wait = `for i in $(seq 100); do mariadb-admin -S ${socket} ping >/dev/null 2>&1 && exit 0; sleep 0.3; done; exit 1`;
      await pair.a.must(['sh', '-c', wait], { timeoutMs: 60_000 });
      await pair.whileKillingMirror(async () => {
        const slap = ['mariadb-slap', '-S', socket, '--auto-generate-sql', '--concurrency=3'];
        const load = ['--auto-generate-sql-load-type=mixed', `--number-of-queries=${seconds * 60}`];
        await pair.a.must([...slap, ...load, '--auto-generate-sql-add-autoincrement'], {
          timeoutMs: 600_000,
        });
        await pair.a.must([NODE, '-e', sqliteLoad(join(DIRECTORY, 'lite.db'), seconds)], {
          timeoutMs: 600_000,
        });
      });
      await pair.a.must(['mariadb-admin', '-S', socket, 'shutdown'], { timeoutMs: 60_000 });
      await server.ended;
      expect(await pair.differences()).toEqual([]);
    });
  },
  TIMEOUT_MS,
);

/** A program that commits to an SQLite database for some seconds. */
function sqliteLoad(file: string, seconds: number): string {
  return `const { DatabaseSync } = require('node:sqlite');
    const db = new DatabaseSync(${JSON.stringify(file)});
    db.exec('PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; CREATE TABLE t (id INTEGER PRIMARY KEY, x TEXT)');
    const insert = db.prepare('INSERT INTO t (x) VALUES (?)');
    const end = Date.now() + ${seconds * 1000};
    while (Date.now() < end) insert.run('x'.repeat(Math.floor(Math.random() * 2000)));
    db.close();`;
}
