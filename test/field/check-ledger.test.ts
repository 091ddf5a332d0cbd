// The checker must see what is missing, what was altered, and money that does not add up.
import { describe, expect, it } from 'vitest';
import type { Acknowledged } from '../../examples/ledger/client-log.ts';
import { judge } from './check-ledger.ts';

const transfer = (id: string, amount: number): Acknowledged & { madeAt: number } => ({
  id,
  from: 1,
  to: 2,
  amount,
  at: Number(id),
  madeAt: Number(id),
  latencyMs: 1,
  server: 'http://x',
  node: 'a',
});
const three = [transfer('1', 10), transfer('2', 20), transfer('3', 30)];
const right = new Map([
  [1, 1_000_000 - 60],
  [2, 1_000_000 + 60],
]);

describe('the checker of the field test', () => {
  it('finds nothing where there is nothing', () => {
    expect(judge(three, three, right)).toMatchObject({ lost: 0, integrity: 'ok', transfers: 3 });
  });

  it('tells a lost tail from a hole', () => {
    const extra = transfer('4', 1);
    expect(judge([...three, extra], three, right)).toMatchObject({ lost: 1, keptAfterLost: 0 });
    const hole = [three[0]!, three[2]!];
    const balances = new Map([
      [1, 1_000_000 - 40],
      [2, 1_000_000 + 40],
    ]);
    const verdict = judge(three, hole, balances);
    expect(verdict).toMatchObject({ lost: 1, lostIds: ['2'], keptAfterLost: 1, integrity: 'ok' });
  });

  it('sees an altered transfer and a wrong balance', () => {
    const altered = [three[0]!, { ...three[1]!, amount: 21 }, three[2]!];
    const verdict = judge(three, altered, right);
    expect(verdict.lost).toBe(1);
    expect(verdict.integrity).toBe('accounts 1, 2 disagree with their transfers');
  });

  it('sees a transfer that is there twice', () => {
    const balances = new Map([
      [1, 1_000_000 - 90],
      [2, 1_000_000 + 90],
    ]);
    expect(judge(three, [...three, three[2]!], balances).integrity).toBe('1 transfers twice');
  });
});
