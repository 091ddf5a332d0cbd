// When compression is worth it, on numbers instead of on a network.
import { describe, expect, it } from 'vitest';
import { type Compression, Packer } from './packer.ts';

const FRAME = 262_144;

/** Sends frames of data with `ratio` over a link; returns how many of the last 100 were compressed. */
function send(
  packer: Packer,
  link: { bytesPerMs: number; ratio: number; packRate?: number },
): number {
  const { bytesPerMs, ratio, packRate = 150_000 } = link;
  let packed = 0;
  for (let i = 0; i < 400; i += 1) {
    let sent = FRAME;
    if (packer.wants(FRAME)) {
      const short = Math.round(FRAME * ratio);
      if (packer.packed(FRAME, short, FRAME / packRate)) sent = short;
    }
    if (sent < FRAME && i >= 300) packed += 1;
    packer.sent(FRAME, sent, sent / bytesPerMs);
  }
  return packed;
}

describe('auto', () => {
  it.each([
    ['text over 100 Mbit/s', { bytesPerMs: 12_500, ratio: 0.35 }, 100],
    ['text over 1 Gbit/s with a slow compressor: one try', { bytesPerMs: 125_000, ratio: 0.35 }, 1],
    [
      'text over 1 Gbit/s with a fast one',
      { bytesPerMs: 125_000, ratio: 0.35, packRate: 600_000 },
      100,
    ],
    ['text within the machine', { bytesPerMs: 1e6, ratio: 0.3 }, 0],
  ])('%s', (_, link, expected) => {
    expect(send(new Packer('auto'), link)).toBe(expected);
  });

  it.each([
    ['1 Gbit/s', 125_000],
    ['100 Mbit/s', 12_500],
    ['1 Mbit/s', 125],
  ])('%s: tries what cannot be compressed for a hundredth of the time', (_, bytesPerMs) => {
    const packer = new Packer('auto');
    const packRate = 300_000;
    expect(send(packer, { bytesPerMs, ratio: 1.0, packRate })).toBe(0);
    let tries = 0;
    for (let i = 0; i < 1000; i += 1) {
      if (packer.wants(FRAME)) {
        tries += 1;
        packer.packed(FRAME, FRAME, FRAME / packRate);
      }
    }
    expect(tries).toBeGreaterThan(0);
    expect(tries / packRate).toBeLessThanOrEqual((1000 / bytesPerMs) * 0.011);
    expect(send(packer, { bytesPerMs, ratio: 0.3, packRate })).toBe(100);
  });

  it('a slow line: text after noise is compressed from its first frames', () => {
    const packer = new Packer('auto');
    send(packer, { bytesPerMs: 125, ratio: 1.0 });
    let packed = 0;
    for (let i = 0; i < 10; i += 1) {
      if (packer.wants(16_384) && packer.packed(16_384, 5000, 0.2)) packed += 1;
    }
    expect(packed).toBe(10);
  });

  it('takes the bandwidth limit for the link', () => {
    const packer = new Packer('auto');
    expect(send(packer, { bytesPerMs: 1e6, ratio: 0.4 })).toBe(0);
    packer.setLimit(50e6 / 8);
    expect(packer.wants(4096)).toBe(true);
    packer.setLimit(null);
    expect(packer.wants(4096)).toBe(false);
  });
});

it('follows the link when it becomes slow, and when it is fast again', () => {
  const packer = new Packer('auto');
  for (let i = 0; i < 50; i += 1) packer.sent(65_536, 65_536, 0);
  expect(packer.wants(65_536)).toBe(false);
  expect(packer.bytesIn(100)).toBeGreaterThan(256 * 1024);
  // 1 Mbit/s: the kernel takes ten at once, then one waits for the ten before.
  for (let i = 0; i < 44; i += 1) packer.sent(65_536, 65_536, i % 11 === 10 ? 5767 : 0);
  expect(packer.wants(65_536)).toBe(true);
  expect(packer.bytesIn(100)).toBeLessThan(64 * 1024);
  for (let i = 0; i < 200; i += 1) packer.sent(16_384, 6000, 0);
  expect(packer.wants(65_536)).toBe(false);
  expect(packer.bytesIn(100)).toBeGreaterThan(256 * 1024);
});

it.each<[Compression, number]>([
  ['on', 100],
  ['off', 0],
])('%s does what it says', (mode, expected) => {
  expect(send(new Packer(mode), { bytesPerMs: 1e6, ratio: 0.4 })).toBe(expected);
  expect(send(new Packer(mode), { bytesPerMs: 1e6, ratio: 1.1 })).toBe(0);
});

it('counts what was saved', () => {
  const packer = new Packer('on');
  packer.sent(1000, 400, 1);
  packer.sent(1000, 1000, 1);
  expect(packer.status).toMatchObject({
    recordsBytes: 2000,
    sentBytes: 1400,
    packedFrames: 1,
    plainFrames: 1,
  });
});
