// node files-worker.ts DIRECTORY SEED LOG
//
// Random file operations below DIRECTORY, each checked against a model, until it is killed. Each life works
// in a directory of its own; those of the lives before the last are removed. While HOLD exists nothing is
// done (files stay open). What does not agree with the model is written to LOG, and a new life begins.
import { appendFileSync, existsSync, mkdirSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { messageOf } from '../../src/core/errors.ts';
import { RandomOps } from '../support/random-ops.ts';
import { HOLD } from './names.ts';

const OPERATIONS_PER_TURN = 12;
const TURN_MS = 60;
const LIVES_KEPT = 2;
const NAMES = 12;
const FILE_BYTES_MAX = 256 * 1024;
const RESTART_MS = 1000;

const [directory = '', seedText = '1', log = ''] = process.argv.slice(2);

function removeOldLives(): void {
  const lives = readdirSync(directory)
    .filter((name) => name.startsWith('life-'))
    .toSorted();
  for (const name of lives.slice(0, Math.max(0, lives.length - LIVES_KEPT))) {
    rmSync(join(directory, name), { recursive: true, force: true });
  }
}

async function live(number: number): Promise<void> {
  const own = join(directory, `life-${Date.now()}`);
  mkdirSync(own, { recursive: true });
  removeOldLives();
  const seed = Number(seedText) * 1000 + number;
  const operations = new RandomOps(own, { seed, names: NAMES, fileBytesMax: FILE_BYTES_MAX });
  try {
    for (;;) {
      if (!existsSync(HOLD)) operations.run(OPERATIONS_PER_TURN);
      await sleep(TURN_MS);
    }
  } finally {
    operations.close();
  }
}

for (let number = 1; ; number += 1) {
  try {
    await live(number);
  } catch (thrown) {
    // The log is outside of the host's disk, which may be the one that fails.
    const entry = { at: Date.now(), message: messageOf(thrown) };
    appendFileSync(log, `${JSON.stringify(entry)}\n`);
    await sleep(RESTART_MS);
  }
}
