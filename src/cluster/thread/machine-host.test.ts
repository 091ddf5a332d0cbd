import { expect, test } from 'vitest';
import { bootOf, configOf } from '../machine/fixtures/subject.ts';
import { MachineHost } from './machine-host.ts';

const TAKEOVER = {
  kind: 'takeover',
  force: true,
  acceptStale: true,
  acceptIncomplete: false,
  acceptHalted: false,
} as const;

test('every effect is handed over when it is known what the machine has become', () => {
  let nowMs = 100_000;
  let known: unknown;
  const handedOver: string[] = [];
  const early: string[] = [];
  let host: MachineHost | undefined;
  host = new MachineHost(configOf({ arbiter: 'none', hasAddress: false }), bootOf(), {
    clock: { monotonicMs: () => nowMs, wallMs: () => nowMs },
    onStep: (state) => {
      known = state;
    },
    perform: ({ kind }) => {
      handedOver.push(kind);
      if (host !== undefined && known !== host.state) early.push(kind);
    },
  });
  try {
    host.deliver({ kind: 'command', command: TAKEOVER });
    for (let tick = 0; tick < 600 && !handedOver.includes('promote'); tick += 1) {
      nowMs += 100;
      host.deliver({ kind: 'tick' });
    }
  } finally {
    host.stop();
  }
  expect(handedOver).toContain('promote');
  expect(early).toEqual([]);
});
