// A bandwidth limit on its way to the primary's process and from the other node.
import { expect, test, vi } from 'vitest';
import { type Bandwidth, UNLIMITED } from './bandwidth.ts';
import { GroupBandwidth } from './group-bandwidth.ts';
import type { GroupDefinition } from './group-definition.ts';
import type { GroupView } from './node-protocol.ts';

function bed({ isPrimary = true } = {}) {
  let kept: Bandwidth = UNLIMITED;
  const call = vi.fn(async (_method: string, _params: Record<string, unknown>) => ({}));
  const save = vi.fn((bandwidth: Bandwidth) => {
    kept = bandwidth;
  });
  const warn = vi.fn();
  const bandwidth = new GroupBandwidth({
    group: 'shop',
    definition: () =>
      ({ groupId: 'one', replication: { bandwidth: kept } }) as unknown as GroupDefinition,
    isPrimary: () => isPrimary,
    isRunning: () => isPrimary,
    save,
    call,
    onTold: () => undefined,
    warn,
  });
  return { bandwidth, call, save, warn };
}

const limit = (revision: number): Bandwidth => ({ rate: 1e6, schedule: [], revision });
const other = (revision: number): GroupView =>
  ({ groupId: 'one', role: 'standby', bandwidth: limit(revision) }) as unknown as GroupView;

test('a process that did not hear of a limit is told again', async () => {
  const { bandwidth, call, warn } = bed();
  call.mockRejectedValue(new Error('no answer within 5000 ms'));
  await bandwidth.change(limit(5));
  await bandwidth.seen(0);
  expect(warn).toHaveBeenCalledTimes(1);
  call.mockResolvedValue({});
  await bandwidth.seen(0);
  expect(call.mock.calls.at(-1)?.[1]).toMatchObject({ bandwidth: { revision: 5 } });
  await bandwidth.seen(5);
  await bandwidth.seen(undefined);
  expect(call).toHaveBeenCalledTimes(3);
});

test('a limit of the other node that the disk does not take is tried again, and told once', async () => {
  const { bandwidth, save, warn, call } = bed();
  save.mockImplementationOnce(() => {
    throw new Error('no space');
  });
  save.mockImplementationOnce(() => {
    throw new Error('no space');
  });
  for (let views = 0; views < 4; views += 1) {
    bandwidth.adopt(other(7));
    await vi.waitFor(() => expect(save).toHaveBeenCalledTimes(Math.min(views + 1, 3)));
  }
  expect(warn).toHaveBeenCalledTimes(1);
  expect(call).toHaveBeenCalledTimes(1);
});
