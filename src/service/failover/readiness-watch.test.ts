// What the agents of a standby say about a promotion: asked now and then, told when it changes.
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, expect, test } from 'vitest';
import { ReadinessWatch } from './readiness-watch.ts';

const PATIENCE_MS = 10_000;

let watch: ReadinessWatch | undefined;
afterEach(() => watch?.stop());

async function until(isTrue: () => boolean): Promise<void> {
  const deadline = performance.now() + PATIENCE_MS;
  while (!isTrue()) {
    if (performance.now() > deadline) throw new Error('not in time');
    await sleep(5);
  }
}

test('asked only as a standby; told when it changes; forgotten with the role', async () => {
  const told: (readonly string[])[] = [];
  let isStandby = false;
  let asked = 0;
  let answer: () => Promise<readonly string[]> = async () => Promise.resolve([]);
  watch = new ReadinessWatch({
    isAsked: () => isStandby,
    ask: async () => {
      asked += 1;
      return answer();
    },
    onChange: (reasons) => told.push(reasons),
    lookIntervalMs: 5,
    askIntervalMs: 20,
  });
  await sleep(50);
  expect(asked).toBe(0);
  isStandby = true;
  await until(() => asked > 2);
  expect(told).toEqual([]);
  answer = async () => Promise.resolve(['no licence']);
  await until(() => told.length > 0);
  const before = asked;
  await until(() => asked > before + 2);
  expect(told).toEqual([['no licence']]);
  expect(watch.reasons).toEqual(['no licence']);
  isStandby = false;
  watch.forget();
  expect(told).toEqual([['no licence'], []]);
  isStandby = true;
  await until(() => told.length === 3);
  answer = async () => Promise.reject(new Error('out of luck'));
  await until(() => told.length === 4);
  expect(told.at(-1)).toEqual(['out of luck']);
});

test('one question at a time; an answer that comes after the role has changed is not believed', async () => {
  const told: (readonly string[])[] = [];
  const answers: ((reasons: readonly string[]) => void)[] = [];
  let isStandby = true;
  watch = new ReadinessWatch({
    isAsked: () => isStandby,
    ask: async () => new Promise((resolve) => answers.push(resolve)),
    onChange: (reasons) => told.push(reasons),
    lookIntervalMs: 5,
    askIntervalMs: 10,
  });
  await until(() => answers.length === 1);
  await sleep(50);
  expect(answers).toHaveLength(1);
  isStandby = false;
  watch.forget();
  answers[0]?.(['too late']);
  await sleep(20);
  expect(told).toEqual([]);
});

test('a machine that heard a reason of another service hears that there is none', async () => {
  const told: (readonly string[])[] = [];
  watch = new ReadinessWatch({
    isAsked: () => true,
    ask: async () => Promise.resolve([]),
    onChange: (reasons) => told.push(reasons),
    lookIntervalMs: 5,
    askIntervalMs: 20,
  });
  watch.tellAgain();
  expect(told).toEqual([]);
  await until(() => told.length > 0);
  await sleep(100);
  expect(told).toEqual([[]]);
});
