// The filter is killed at random moments under load, and another process goes on in its place: no call
// fails, no record is missing or doubled, files that are open stay open, with and without a name.
import { randomInt } from 'node:crypto';
import { once } from 'node:events';
import { afterEach, describe, expect, it } from 'vitest';
import { shell, startShell } from '../../test/support/shell.ts';
import { SuccessionRig, type SuccessionRigOptions } from '../../test/support/succession-rig.ts';

const long = process.env['UNDERSTUDY_LONG'] === '1';

let rig: SuccessionRig;
afterEach(async () => await rig.stop());

async function start(options: SuccessionRigOptions = {}): Promise<void> {
  rig = await SuccessionRig.start(options);
}

/** Runs a shell script on the mount; rejects with its output when it fails. */
async function run(script: string): Promise<void> {
  const child = startShell(script, { cwd: rig.a });
  let said = '';
  child.stdout?.on('data', (data: Buffer) => (said += data.toString()));
  child.stderr?.on('data', (data: Buffer) => (said += data.toString()));
  const [code] = (await once(child, 'exit')) as [number | null];
  if (code !== 0) throw new Error(`exit code ${code}: ${said.slice(-6000)}`);
}

const randomOps = new URL('../../test/support/random-ops.ts', import.meta.url).pathname;

describe('random operations, each checked against a model', () => {
  it.each([
    ['ext4', 1],
    ['xfs', 2],
  ] as const)('%s, seed %i', async (kind, seed) => {
    await start({ kind });
    const seconds = long ? 120 : 6;
    const work = run(`exec ${process.execPath} ${randomOps} . --seed ${seed} --seconds ${seconds}`);
    const took = await rig.whileKilling(work, () => 20 + randomInt(400));
    expect(took.length).toBeGreaterThan(2);
    expect(await rig.differences()).toEqual([]);
  });
});

describe('open files', () => {
  it('are served on: position, locks, and those that have lost their names', async () => {
    await start();
    shell('echo one > named; echo two > gone; mkdir d; touch d/x d/y', { cwd: rig.a });
    const work = run(`
      exec 3<> named 4<> gone 5> new
      rm gone
      flock -x 3
      cd d
      echo ready > ../ready
      while [ ! -e ../go ]; do sleep 0.05; done
      echo more >&5
      cat <&4 > ../copy
      echo again >> /proc/self/fd/4
      [ "$(stat -L -c '%h %s' /proc/self/fd/4)" = '0 10' ]
      [ "$(ls | wc -l)" = 2 ]`);
    while (!shell('ls', { cwd: rig.a }).includes('ready'))
      await new Promise((resolve) => setTimeout(resolve, 20));
    for (let kills = 0; kills < 3; kills += 1) await rig.kill();
    expect(() => shell('flock -n named true', { cwd: rig.a })).toThrow();
    shell('touch go', { cwd: rig.a });
    await work;
    expect(shell('cat copy new; flock -n named echo free', { cwd: rig.a })).toBe(
      'two\nmore\nfree\n',
    );
    expect(await rig.differences()).toEqual([]);
    rig.check();
  });
});
