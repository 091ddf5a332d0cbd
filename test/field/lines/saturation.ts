// Ten minutes of a machine that has nothing left, while another large group makes its first copy again
// and again: nobody may fail over. Runs only when it is asked for by name.
import { understudy, waitForCopy } from '../../../lab/pair.ts';
import { runaway } from '../faults.ts';
import type { FieldLine, Scene } from '../types.ts';

const SECONDS = 600;
const OTHER = 'bulk';
const DIRECTORY = '/srv/bulk';
const COPY_TIMEOUT_MS = 300_000;

/** A first copy of 100 MiB in 2000 files, over and over, until `until`. */
async function copyAgainAndAgain({ primary, note }: Scene, until: number): Promise<void> {
  const fill = `mkdir -p "$1" && cd "$1" && head -c 100M /dev/urandom | split --bytes 50K --suffix-length 4 -`;
  await primary.must(['sh', '-c', fill, 'sh', DIRECTORY], { timeoutMs: COPY_TIMEOUT_MS });
  for (let copies = 1; Date.now() < until; copies += 1) {
    const options = ['--name', OTHER, '--dir', DIRECTORY, '--mode', 'async', '--seed'];
    await understudy(primary, ['group', 'create', ...options], { timeoutMs: COPY_TIMEOUT_MS });
    await waitForCopy(primary, OTHER, COPY_TIMEOUT_MS);
    await understudy(primary, ['group', 'delete', OTHER], { timeoutMs: COPY_TIMEOUT_MS });
    note(`first copy ${copies} of ${OTHER} is complete`);
  }
}

export const saturation: FieldLine = {
  name: 'saturation',
  fault: `both nodes are saturated for ${SECONDS / 60} minutes (four endless loops each on two cores), and first copies of another group run all the time`,
  expected: 'no failover',
  moves: false,
  outageMsMax: 15_000,
  noticedBy: [],
  watchMs: 1000,
  strike: async (scene) => {
    const until = Date.now() + SECONDS * 1000;
    for (const host of [scene.primary, scene.standby]) runaway(host, SECONDS);
    await copyAgainAndAgain(scene, until);
  },
};
