import * as fc from 'fast-check';
import { expect, it } from 'vitest';
import { divideLimit, type GroupDemand } from './node-shares.ts';

const idle = (name: string): GroupDemand => ({ name, sent: 0, allowed: null, own: null });
const hungry = (name: string, own: number | null = null): GroupDemand => ({
  name,
  sent: 1000,
  allowed: 1000,
  own,
});
const divide = (total: number, ...groups: GroupDemand[]): Record<string, number> =>
  Object.fromEntries(divideLimit(total, groups));

it('one group has it all, idle ones share what nobody needs', () => {
  expect(divide(1000, hungry('a'))).toEqual({ a: 1000 });
  expect(divide(1000, idle('a'))).toEqual({ a: 1000 });
  expect(divide(1000, idle('a'), idle('b'))).toEqual({ a: 500, b: 500 });
});

it('hungry groups have the same, idle ones a reserve', () => {
  expect(divide(1000, hungry('a'), hungry('b'))).toEqual({ a: 500, b: 500 });
  expect(divide(1000, hungry('a'), idle('b'))).toEqual({ a: 875, b: 125 });
  const busy = { name: 'b', sent: 200, allowed: 500, own: null };
  expect(divide(1000, hungry('a'), busy)).toEqual({ a: 700, b: 300 });
});

it('what a limit of its own keeps a group from using goes to the others', () => {
  expect(divide(1000, hungry('a', 100), hungry('b'))).toEqual({ a: 100, b: 900 });
});

it('what a group has that cannot be asked is not given to others', () => {
  expect(Object.fromEntries(divideLimit(1000, [hungry('a')], 400))).toEqual({ a: 600 });
  // Lowered at that moment: the others do not stand still.
  expect(Object.fromEntries(divideLimit(400, [hungry('a')], 400))).toEqual({ a: 100 });
});

it('is never more than the limit, and leaves no group without', () => {
  const demand = fc.record({
    sent: fc.nat(10_000_000),
    allowed: fc.option(fc.integer({ min: 1, max: 10_000_000 })),
    own: fc.option(fc.integer({ min: 8000, max: 10_000_000 })),
  });
  const property = fc.property(
    fc.integer({ min: 100_000, max: 100_000_000 }),
    fc.array(demand, { minLength: 1, maxLength: 20 }),
    (total, demands) => {
      const groups = demands.map((one, index) => ({ ...one, name: `g${index}` }));
      const shares = divideLimit(total, groups);
      const divided = groups.map(({ name }) => shares.get(name) ?? 0);
      expect(divided).toHaveLength(groups.length);
      expect(divided.reduce((sum, share) => sum + share, 0)).toBeLessThanOrEqual(total + 1e-3);
      divided.forEach((share, index) => {
        const least = Math.min(groups[index]?.own ?? Infinity, total / groups.length / 100);
        expect(share).toBeGreaterThanOrEqual(least);
      });
    },
  );
  fc.assert(property);
});
