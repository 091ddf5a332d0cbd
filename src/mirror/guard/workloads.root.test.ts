// The ransomware guard against real programs, through a real filter: what is ordinary work raises no
// alarm, what encrypts files one after the other does within some dozens of them. UNDERSTUDY_LONG=1 adds
// PostgreSQL and a slow encryptor.
import { existsSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { afterAll, afterEach, beforeEach, describe, expect, test } from 'vitest';
import { FilterMirror } from '../../../test/support/filter-mirror.ts';
import { Random } from '../../../test/support/random.ts';
import { shell } from '../../../test/support/shell.ts';
import { REWRITE_LIMITS } from './rewrite-alarm.ts';

const REPOSITORY = resolve(import.meta.dirname, '../../..');
const FILES = 130;
const BIN = '/usr/lib/postgresql/15/bin';
const long = process.env['UNDERSTUDY_LONG'] === '1';

let mirror: FilterMirror;

/** A file share: letters, tables, office documents (which are compressed), pictures, logs. */
function fillShare(dir: string): void {
  const random = new Random(7);
  const noise = Buffer.alloc(20_000);
  mkdirSync(join(dir, 'share'));
  for (let index = 0; index < FILES; index += 1) {
    random.fill(noise);
    const lines = Array.from(
      { length: 200 },
      (_, line) => `${index};${line};some words;${random.u32()}`,
    );
    writeFileSync(join(dir, 'share', `letter-${index}.txt`), lines.join('\n'));
    const office = Buffer.concat([Buffer.from('PK\x03\x04'), noise]);
    writeFileSync(join(dir, 'share', `table-${index}.docx`), office);
  }
}

const PostgreSQL = `chmod 711 ../..; install -d -m 700 -o postgres -g postgres pg
  as() { setpriv --reuid=postgres --regid=postgres --init-groups -- env HOME=/ "$@"; }
  as ${BIN}/initdb -D pg/data >/dev/null; trap 'as ${BIN}/pg_ctl -D pg/data stop -m fast -s' EXIT
  as ${BIN}/pg_ctl -D pg/data -w -s -o "-k /tmp -p 5999 -c listen_addresses=" start </dev/null >/dev/null 2>&1
  as ${BIN}/pgbench -h /tmp -p 5999 -i -q -s 3 postgres >/dev/null 2>&1
  as ${BIN}/pgbench -h /tmp -p 5999 -T 20 -c 4 postgres >/dev/null 2>&1`;

beforeEach(async () => {
  mirror = await FilterMirror.start({
    isGuarded: true,
    recordsKept: 0,
    lifetimeMs: 170_000,
    prepare: both,
  });
});
afterEach(async () => {
  await mirror.stop();
});

function both(a: string, b: string): void {
  fillShare(a);
  shell(`cp -a ${a}/share ${b}/`);
}

async function outcome(script: string) {
  shell(script, { cwd: join(mirror.a, 'share') });
  await mirror.quiesce();
  return await mirror.counters();
}

afterAll(() => rmSync(APART, { force: true }));

describe('ordinary work raises no alarm', () => {
  test('archives, repositories, builds, logs, copies, pictures, databases', async () => {
    const works: Readonly<Record<string, string>> = {
      'tar and unpack': `tar cf - -C ${REPOSITORY} src/core src/mirror docs | tar xf -; tar czf src.tgz src; tar xzf src.tgz`,
      'git clone and checkout': `git clone -q ${REPOSITORY} repo; cd repo
        git checkout -q HEAD~3; git checkout -q -; git gc -q`,
      'a C build, twice': `mkdir build; cd build; for i in $(seq 15); do
        echo "int f$i(int x) { return x * $i; }" > f$i.c; done
        for round in 1 2; do for i in $(seq 15); do gcc -O1 -g -c f$i.c -o f$i.o; done; ar rcs lib.a *.o; done`,
      'logs that are turned and compressed': `for i in $(seq 60); do cp letter-$i.txt log-$i; mv log-$i log-$i.1; gzip log-$i.1; done
        for i in $(seq 30); do gzip -k letter-$i.txt; done; gzip letter-3*.txt; gunzip letter-3*.txt.gz; xz -k letter-4*.txt`,
      'rsync of a changed tree': `rsync -a src/ mirrored; find src -name '*.ts' -exec sed -i 's/const/let/' {} +; rsync -a src/ mirrored`,
      'editors and office programs save': `for i in $(seq 60); do sed -i s/words/sentences/ letter-$i.txt
        { printf 'PK\\003\\004'; head -c 21000 /dev/urandom; } > table-$i.docx
        { printf 'PK\\003\\004'; head -c 21000 /dev/urandom; } > .t.tmp; mv .t.tmp table-$((i + 20)).docx; done`,
      'pictures are imported and sorted': `mkdir in photos; for i in $(seq 80); do
        { printf '\\377\\330\\377\\340'; head -c 60000 /dev/urandom; } > in/IMG_$i.jpg; done
        for i in $(seq 80); do mv in/IMG_$i.jpg photos/2026-$i.jpg; done; rm -r in`,
      'encrypted backups come and go': `for i in $(seq 60); do head -c 50000 /dev/urandom > backup-$i.gpg; done; rm backup-[1-4]*.gpg
        for i in $(seq 50 60); do head -c 50000 /dev/urandom > backup-$i.gpg; done`,
      SQLite: `node -e '
        const { DatabaseSync } = require("node:sqlite"); const db = new DatabaseSync("t.db");
        db.exec("CREATE TABLE t (id INTEGER PRIMARY KEY, b BLOB)");
        for (let i = 0; i < 400; i += 1) db.prepare("INSERT INTO t (b) VALUES (randomblob(3000))").run();
        db.exec("UPDATE t SET b = randomblob(3000) WHERE id % 2 = 0"); db.close()'`,
      'everything is removed': 'rm -rf ./*',
    };
    for (const [name, script] of Object.entries(works)) {
      const { alarms, spoilt } = await outcome(script);
      expect([name, alarms]).toEqual([name, []]);
      // Far from it, too.
      expect([name, spoilt]).toEqual([name, 0]);
    }
  });

  test.runIf(long && existsSync(BIN))('PostgreSQL under pgbench', async () => {
    const { alarms, spoilt } = await outcome(PostgreSQL);
    expect([alarms, spoilt]).toEqual([[], 0]);
  });
});

const ENCRYPT = 'openssl enc -aes-256-ctr -pbkdf2 -iter 1 -k x';
const APART = '/dev/shm/guard-test';

/** Ways to encrypt the file `$f`, each for a range of the letters or tables. */
const ENCRYPTORS: Readonly<Record<string, readonly [files: string, each: string]>> = {
  'beside, then over it': ['letter-1?.txt letter-2?.txt', `${ENCRYPT} -in $f -out .t && mv .t $f`],
  'to a new name, the old one removed': [
    'letter-3?.txt letter-4?.txt',
    `${ENCRYPT} -in $f -out $f.locked && rm $f`,
  ],
  'to a name of no likeness': [
    'letter-5?.txt letter-6?.txt',
    `${ENCRYPT} -in $f -out $(openssl rand -hex 8) && rm $f`,
  ],
  'cut and written again': [
    'letter-7?.txt letter-8?.txt',
    `${ENCRYPT} -in $f -out ${APART}; cat ${APART} > $f`,
  ],
  'in place': [
    'letter-9?.txt letter-10?.txt',
    `${ENCRYPT} -in $f -out ${APART}; dd if=${APART} of=$f conv=notrunc status=none`,
  ],
  'renamed first, then in place': [
    'letter-11?.txt letter-12?.txt',
    `mv $f $f.x9; ${ENCRYPT} -in $f.x9 -out ${APART}; dd if=${APART} of=$f.x9 conv=notrunc status=none`,
  ],
  'office documents, noise already, which say what they are': [
    'table-1?.docx table-2?.docx',
    `${ENCRYPT} -in $f -out .t && mv .t $f`,
  ],
};

describe('encryption of a file share', () => {
  test('every file counts, in whatever way it is done; one alarm, within some dozens', async () => {
    let before = 0;
    for (const [name, [files, each]] of Object.entries(ENCRYPTORS)) {
      const { alarms, spoilt } = await outcome(`for f in ${files}; do ${each}; done`);
      expect([name, spoilt - before]).toEqual([name, 20]);
      before = spoilt;
      if (spoilt < REWRITE_LIMITS.files) expect(alarms).toEqual([]);
      else expect(alarms).toMatchObject([{ count: REWRITE_LIMITS.files }]);
    }
    const { alarms } = await mirror.counters();
    expect(Math.abs(Date.now() - (alarms[0]?.sinceMs ?? 0))).toBeLessThan(300_000);
  });

  test('names with a new ending alone', async () => {
    const honest = await outcome('for f in letter-*; do mv $f $f.bak; mv $f.bak $f; done');
    expect(honest.alarms).toEqual([]);
    const { alarms } = await outcome('for f in letter-*; do mv $f $f.wncry; done');
    expect(alarms).toMatchObject([{ ending: '.wncry', count: REWRITE_LIMITS.names }]);
  });

  test.runIf(long)('slowly, five files a second', async () => {
    const { alarms } = await outcome(
      `for f in letter-[1-5]?.txt; do ${ENCRYPT} -in $f -out $f.locked && rm $f; sleep 0.2; done`,
    );
    expect(alarms).toHaveLength(1);
  });
});
