// Any agents, any order of events, any results: the rules hold after every step, and every request is answered.
import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import type { Outcome } from '../invoke.ts';
import { agentNamed, Driver, seenAs } from './fixtures.ts';
import { wakeAtMs } from './step.ts';
import type { SupervisedAgent, SupervisorEffect } from './types.ts';

const NAMES = ['a', 'b', 'c', 'd', 'e'];

const agents: fc.Arbitrary<SupervisedAgent[]> = fc
  .array(
    fc.record({
      after: fc.subarray(NAMES),
      isProbed: fc.boolean(),
      watchesOnly: fc.boolean(),
      limit: fc.integer({ min: 0, max: 3 }),
    }),
    { minLength: 1, maxLength: NAMES.length },
  )
  .map((list) =>
    list.map(({ after, isProbed, watchesOnly, limit }, index) =>
      // Only those before it: no circles.
      agentNamed(
        NAMES[index] ?? '',
        after.filter((name) => NAMES.indexOf(name) < index),
        {
          isProbed,
          watchesOnly,
          restarts: { limit, withinMs: 10_000 },
        },
      ),
    ),
  );

const outcome: fc.Arbitrary<Outcome> = fc.oneof(
  { weight: 6, arbitrary: fc.constant<Outcome>({ kind: 'done', value: null, ms: 1 }) },
  fc
    .constantFrom<'failed' | 'late' | 'aborted' | 'unusable'>(
      'failed',
      'late',
      'aborted',
      'unusable',
    )
    .map((kind): Outcome => ({ kind, why: 'so it is', ms: 1 })),
);
const probed: fc.Arbitrary<Outcome> = fc.oneof(
  fc.constantFrom('ok', 'degraded', 'failed', 'stopped', 'nonsense').map((state) => seenAs(state)),
  outcome,
);

const happening = fc.oneof(
  fc.record({ what: fc.constantFrom('start', 'stop', 'giveUp', 'pause', 'trouble', 'adopt') }),
  { weight: 8, arbitrary: fc.record({ what: fc.constant('end'), pick: fc.nat(), outcome }) },
  {
    weight: 4,
    arbitrary: fc.record({ what: fc.constant('probe'), pick: fc.nat(), outcome: probed }),
  },
  { weight: 3, arbitrary: fc.record({ what: fc.constant('wait'), ms: fc.nat(3000) }) },
);

class Checked {
  readonly driver: Driver;
  readonly #configs: readonly SupervisedAgent[];
  readonly #asked = new Set<number>();
  request = 0;

  constructor(configs: readonly SupervisedAgent[]) {
    this.#configs = configs;
    this.driver = new Driver(configs);
  }

  tell(event: Parameters<Driver['tell']>[0]): void {
    if (event.kind === 'start' || event.kind === 'stop') this.#asked.add(event.request);
    const before = this.driver.state;
    const effects = this.driver.tell(event);
    for (const effect of effects) this.#check(effect);
    for (const [name, { restartsMs }] of Object.entries(this.driver.state.agents)) {
      const { restarts } = this.#config(name);
      const recent = restartsMs.filter((at) => this.driver.now - at < restarts.withinMs);
      expect(recent.length).toBeLessThanOrEqual(restarts.limit);
    }
    const escalates = effects.some(({ kind }) => kind === 'killAll');
    if (escalates) expect(before.escalation).toBe(0);
  }

  #config(name: string): SupervisedAgent {
    const found = this.#configs.find((one) => one.name === name);
    if (found === undefined) throw new Error(`no agent ${name}`);
    return found;
  }

  #check(effect: SupervisorEffect): void {
    const { agents: states } = this.driver.state;
    if (effect.kind === 'answer') {
      expect(this.#asked.delete(effect.request)).toBe(true);
      if (effect.failure === null) {
        const phases = Object.values(states).map(({ phase }) => phase);
        expect(new Set(phases).size).toBe(1);
        expect(['running', 'stopped']).toContain(phases[0]);
      }
    }
    if (effect.kind !== 'run') return;
    expect(states[effect.agent]?.op).toBe(effect.op);
    if (effect.operation === 'start') {
      for (const one of this.#config(effect.agent).after)
        expect(states[one]?.phase).toBe('running');
    } else {
      for (const { name, after } of this.#configs) {
        if (after.includes(effect.agent)) expect(states[name]?.phase).toBe('stopped');
      }
    }
  }

  end(pick: number, result: Outcome): void {
    const open = [...this.driver.open].filter(([, what]) => !what.startsWith('probe'));
    const { escalation } = this.driver.state;
    if (escalation !== 0 && pick % 3 === 0) {
      this.tell({ kind: 'killed', op: escalation, left: pick % 2 === 0 ? null : 'process 7' });
      return;
    }
    const [op] = open[pick % Math.max(1, open.length)] ?? [];
    if (op !== undefined) this.tell({ kind: 'ended', op, outcome: result });
  }

  probe(pick: number, result: Outcome): void {
    const open = [...this.driver.open].filter(([, what]) => what.startsWith('probe'));
    const [op] = open[pick % Math.max(1, open.length)] ?? [];
    const excused = pick % 5 === 0;
    if (op !== undefined) this.tell({ kind: 'probed', op, outcome: result, excused });
  }

  /** Everything that is under way succeeds: then nothing may be left unanswered. */
  finish(): void {
    for (let rounds = 0; rounds < 200; rounds += 1) {
      const { escalation } = this.driver.state;
      if (escalation !== 0) this.tell({ kind: 'killed', op: escalation, left: null });
      const [op] = [...this.driver.open].find(([, what]) => !what.startsWith('probe')) ?? [];
      if (op === undefined && escalation === 0) break;
      if (op !== undefined) {
        this.tell({ kind: 'ended', op, outcome: { kind: 'done', value: null, ms: 1 } });
      }
    }
    expect([...this.#asked]).toEqual([]);
  }
}

test('order, limits and answers hold whatever happens', () => {
  fc.assert(
    fc.property(agents, fc.array(happening, { maxLength: 120 }), (configs, events) => {
      const checked = new Checked(configs);
      for (const event of events) {
        if (event.what === 'start' || event.what === 'stop') {
          checked.request += 1;
          checked.tell({ kind: event.what, request: checked.request });
        } else if (event.what === 'pause') {
          checked.tell({ kind: 'pause', on: !checked.driver.state.isPaused });
        } else if (event.what === 'trouble') checked.tell({ kind: 'trouble', why: 'gone' });
        else if (event.what === 'giveUp') checked.tell({ kind: 'giveUp' });
        else if (event.what === 'adopt') checked.tell({ kind: 'adopt' });
        else if ('ms' in event) {
          checked.driver.now += event.ms;
          if (wakeAtMs(checked.driver.state) <= checked.driver.now) checked.tell({ kind: 'tick' });
        } else if ('outcome' in event) {
          if (event.what === 'end') checked.end(event.pick, event.outcome);
          else checked.probe(event.pick, event.outcome);
        }
      }
      checked.finish();
    }),
    { numRuns: 500 },
  );
});
