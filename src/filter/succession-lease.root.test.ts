// The filter dies, and the next one starts when the lease is gone: what was carried out before is not confirmed
// on a node that may not write any more.
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { Point } from '../../test/support/die-at.ts';
import { startShell } from '../../test/support/shell.ts';
import { SuccessionRig } from '../../test/support/succession-rig.ts';
import { TestLease } from '../../test/support/test-lease.ts';
import { op } from './fuse-protocol.ts';

/** So long a successor is given to answer what it must not. */
const LOOK_MS = 1000;

let lease: TestLease;
let rig: SuccessionRig;
beforeEach(async () => {
  lease = new TestLease();
  lease.renew();
  rig = await SuccessionRig.start({ dies: true, leaseFile: lease.file });
});
afterEach(async () => {
  lease.renew();
  await rig.stop();
  lease.remove();
});

test.each<Point>(['done', 'recorded', 'settled'])(
  'a call that the filter dies at when it is %s succeeds as soon as there is a lease again',
  async (point) => {
    const succeeded = rig.dieAt(op.MKDIR, point, () => lease.end());
    const shell = startShell('mkdir new', { cwd: rig.a });
    const ended = once(shell, 'exit');
    await succeeded;
    await sleep(LOOK_MS);
    expect(shell.exitCode).toBeNull();
    lease.renew();
    expect((await ended)[0]).toBe(0);
    expect(await rig.differences()).toEqual([]);
  },
  60_000,
);
