// `onAddressConflict: release`: a machine that claims the group's address gets it, and the group takes it
// again, by itself, when that machine is gone.
import { expect, test } from 'vitest';
import { gatewayFailover, virtualAddress } from '../../lab/managed.ts';
import { interfaceOf } from '../../lab/network.ts';
import { askEvents } from '../../lab/node-admin.ts';
import { waitUntil } from '../../lab/run.ts';
import { PairUnderTest } from './pair-under-test.ts';

test('an address given up is taken again when nobody answers for it', async () => {
  await PairUnderTest.with(async (pair) => {
    const { a, lab } = pair;
    const ip = virtualAddress(lab);
    const failover = { ...gatewayFailover(lab), onAddressConflict: 'release' };
    const addresses = [{ ip: `${ip}/24`, interface: interfaceOf('lan') }];
    await pair.createManaged({ failover, addresses });
    const isHeld = async (): Promise<boolean> =>
      (await a.must(['ip', '-4', '-o', 'addr', 'show'])).includes(` ${ip}/`);
    const shown = async (): Promise<unknown> => (await pair.group())?.local.failover?.['address'];
    const times = async (code: string): Promise<number> =>
      (await askEvents(a)).filter((event) => event.code === code).length;
    expect(await waitUntil(isHeld, 10_000, 100)).toBe(true);
    expect(await shown()).toBe('held');

    const stranger = lab.host('gateway');
    await stranger.claimAddress(ip);
    expect(await waitUntil(async () => !(await isHeld()), 5000, 100)).toBe(true);
    // It is tried every 2 s, and told once.
    const isTried = async (): Promise<boolean> => (await times('ADDRESS_FAILED')) > 0;
    expect(await waitUntil(isTried, 10_000, 200)).toBe(true);
    expect(await waitUntil(isHeld, 5000, 100)).toBe(false);
    expect(await shown()).not.toBe('held');
    expect(await times('ADDRESS_FAILED')).toBe(1);

    await stranger.releaseAddress(ip);
    expect(await waitUntil(isHeld, 10_000, 100)).toBe(true);
    const isMended = async (): Promise<boolean> => (await times('ADDRESS_MENDED')) > 0;
    expect(await waitUntil(isMended, 5000, 200)).toBe(true);
    expect(await shown()).toBe('held');
  });
}, 120_000);
