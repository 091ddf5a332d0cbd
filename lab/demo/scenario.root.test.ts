// The demo as a test, and a test of the demo: it must count losses where there are some.
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { Lab } from '../lab.ts';
import { LedgerApplication } from './ledger-application.ts';
import { playScenario } from './scenario.ts';
import { Timeline } from './timeline.ts';

describe('a ledger whose server loses its power', () => {
  let lab: Lab;
  let lines: string[];
  let timeline: Timeline;

  beforeEach(async () => {
    lab = await Lab.up({});
    lines = [];
    timeline = new Timeline((line) => lines.push(line));
  });

  afterEach(async ({ task }) => {
    if (task.result?.state === 'fail') {
      lines.push(`logs: ${await lab.saveLogs()}`);
      console.error(lines.join('\n'));
    }
    await lab.down();
  });

  it('goes on by itself with every acknowledged transfer in sync mode; the first server rejoins', async () => {
    const outcome = await playScenario(lab, new LedgerApplication(), timeline, {
      mode: 'sync',
      profile: 'default',
      workMs: 2000,
      afterMs: 2500,
      rejoin: true,
    });
    expect(outcome).toMatchObject({ lostCommits: 0, integrity: 'ok' });
    expect(outcome.ackedCommits).toBeGreaterThan(20);
    expect(outcome.ackedAfterTakeover).toBeGreaterThan(5);
    expect(outcome.outageMs).toBeLessThan(10_000);
    expect(lines.at(-1)).toContain('its copy is up to date');
  });

  it('loses the tail, and only that, in async mode over a slow line', async () => {
    const outcome = await playScenario(lab, new LedgerApplication(), timeline, {
      mode: 'async',
      profile: 'default',
      workMs: 2000,
      afterMs: 1000,
      rejoin: false,
      beforePowerCut: async (victim) => {
        await victim.host('a').shape('sync', '400kbit');
        await sleep(2500);
      },
    });
    expect(outcome.integrity).toBe('ok');
    expect(outcome.lostCommits).toBeGreaterThan(20);
    expect(outcome.lostCommits).toBeLessThan(outcome.ackedCommits);
    expect(outcome.lostTailMs).toBeGreaterThan(1000);
    expect(outcome.lostTailMs).toBeLessThan(10_000);
  });
});
