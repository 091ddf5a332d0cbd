import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Lab } from './lab.ts';
import { askStatus } from './node-admin.ts';
import { pairNodes, understudy, waitForDaemon } from './pair.ts';
import { waitUntil } from './run.ts';

interface Status {
  readonly node: { readonly id: string; readonly name: string };
  readonly peer: { readonly name: string; readonly reachable: boolean } | null;
}

describe('two hosts of a lab', () => {
  let lab: Lab;

  beforeAll(async () => {
    lab = await Lab.up({ hosts: ['a', 'b'] });
    await pairNodes(lab);
  });

  afterAll(async () => await lab.down());

  const status = async (name: string): Promise<Status> =>
    (await understudy(lab.host(name), ['status'])) as Status;

  const reaches = async (): Promise<boolean> =>
    (await askStatus<Status>(lab.host('a')))?.peer?.reachable === true;

  it('become a pair by the command line alone', async () => {
    expect(await status('a')).toMatchObject({ peer: { name: 'b', reachable: true } });
    expect(await status('b')).toMatchObject({ peer: { name: 'a', reachable: true } });
  });

  it('start the service again when it is killed', async () => {
    const b = lab.host('b');
    const find = async (): Promise<string> =>
      (await b.exec(['pgrep', '-x', 'understudyd'])).stdout.trim();
    const before = await find();
    expect(before).toMatch(/^\d+$/);
    await b.must(['kill', '-KILL', before]);
    await waitForDaemon(b);
    expect(await find()).not.toBe(before);
    expect(await status('b')).toMatchObject({ peer: { name: 'a', reachable: true } });
  });

  it('notice a cut and its end', async () => {
    await lab.cut('a', 'b');
    expect(await waitUntil(async () => !(await reaches()), 30_000, 200)).toBe(true);
    await lab.heal();
    expect(await waitUntil(async () => await reaches(), 30_000, 200)).toBe(true);
  });

  it('are still a pair, with the same identity, after a power cut', async () => {
    const before = await status('a');
    await lab.host('a').powerOff();
    await lab.host('a').boot();
    await waitForDaemon(lab.host('a'));
    const after = await status('a');
    expect(after.node.id).toBe(before.node.id);
    expect(after.peer).toMatchObject({ name: 'b', reachable: true });
  });
});
