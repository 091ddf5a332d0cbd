// What "agent test" makes of agents that do not keep the contract: each is found out by the check that is meant
// for it, with a real program.
import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { AgentPool } from '../agent-pool.ts';
import { AgentCatalog } from '../catalog.ts';
import { processesMarked, sendSignal } from '../sdk/process-table.ts';
import { ApplicationProcesses } from './application-processes.ts';
import { Trial, type Verdict } from './trial.ts';

const MARK = 'UNDERSTUDY_AGENT_TEST';

const HONEST: Readonly<Record<string, string>> = {
  probe: 'async (p, context) => programState(context)',
  start: `async (p, context) => startProgram({ run: 'exec sleep 1000' }, context)`,
  stop: 'async (p, context) => stopProgram(context)',
};

/** Tries an agent that is honest but for what is given; `watched`: it only watches this process. */
async function tried(
  change: Readonly<Record<string, string>>,
  watched?: number,
): Promise<readonly Verdict[]> {
  const top = mkdtempSync(join(tmpdir(), 'understudy-trial-'));
  mkdirSync(join(top, 'agents'));
  const value = randomBytes(12).toString('hex');
  const functions = Object.entries({ ...HONEST, ...change }).map(
    ([key, text]) => `${key}: ${text},`,
  );
  writeFileSync(
    join(top, 'agents', 'till.ts'),
    `import { defineAgent, programState, run, startProgram, stopProgram, z } from 'understudy/agent';
export default defineAgent({
  name: 'till', title: 'Till', description: 'For a test', parameters: z.strictObject({}),
  ${functions.join('\n  ')}
});
`,
  );
  const pool = new AgentPool({
    group: 'agent-test',
    catalog: new AgentCatalog(join(top, 'agents')),
    logDirectory: top,
    runtimeDirectory: join(top, 'run'),
    env: { [MARK]: value },
    pauseMsMax: 0,
    onTrouble: () => undefined,
  });
  const times = { startTimeoutMs: 5000, stopTimeoutMs: 5000, probeTimeoutMs: 500 };
  const agent = { use: 'till', name: 'till', parameters: {}, ...times };
  const mark = { name: MARK, value };
  const command = watched === undefined ? undefined : `echo ${watched}`;
  try {
    return await new Trial({
      pool,
      agent,
      starts: watched === undefined,
      isProbed: true,
      directories: [],
      addresses: [],
      processes: new ApplicationProcesses({ pool, agent, command, mark }),
      onVerdict: () => undefined,
    }).run();
  } finally {
    pool.close();
    // What an agent that lies about its stop has left.
    for (const pid of processesMarked(MARK, value)) sendSignal(pid, 'SIGKILL');
    rmSync(top, { recursive: true, force: true });
  }
}

const failed = (verdicts: readonly Verdict[]): string[] =>
  verdicts.flatMap(({ check, verdict }) => (verdict === 'failed' ? [check] : []));

test.concurrent('one that keeps the contract passes every check', async () => {
  const verdicts = await tried({});
  expect(verdicts.filter(({ verdict }) => verdict !== 'passed')).toEqual([]);
  expect(verdicts.length).toBeGreaterThan(18);
}, 60_000);

test.concurrent('one that says that all is well with what is not there', async () => {
  const verdicts = await tried({ probe: `async () => ({ state: 'ok', sentence: 'fine' })` });
  expect(failed(verdicts)).toEqual([
    'probe when stopped',
    'probe when hung',
    'probe when killed',
    'probe at the end',
  ]);
  expect(verdicts.find(({ verdict }) => verdict === 'failed')?.sentence).toMatch(
    /says that all is well/,
  );
}, 60_000);

test.concurrent('one whose program forks, and ends a moment after the start', async () => {
  const start = `async (p, context) => startProgram({ run: 'sleep 1 & sleep 0.6' }, context)`;
  expect(failed(await tried({ start }))).toContain('probe 2 s after the start');
}, 60_000);

test.concurrent('one whose stop stops nothing', async () => {
  const verdicts = await tried({ stop: 'async () => {}' });
  expect(failed(verdicts)).toEqual(
    expect.arrayContaining([
      'nothing is left of what hung',
      'nothing is left at the end',
      'probe at the end',
    ]),
  );
  const left = verdicts.find(({ check }) => check === 'nothing is left at the end');
  expect(left?.sentence).toMatch(/process \d+ lives on/);
}, 90_000);

test.concurrent.each([
  ['throws', `async () => { throw new Error('no port'); }`, /no port/],
  ['never returns', 'async () => new Promise(() => {})', /no answer within/],
  ['answers garbage', 'async () => 42', /contract/],
  ['takes its process with it', 'async () => process.exit(1)', /exit code 1/],
])(
  'one whose probe %s',
  async (_what, probe, sentence) => {
    const verdicts = await tried({ probe });
    const found = verdicts.find(({ check }) => check === 'probe when started');
    expect(found).toMatchObject({ verdict: 'failed', sentence: expect.stringMatching(sentence) });
  },
  90_000,
);

test.concurrent.each([
  ['looks at the process', `[undefined, 'T'].includes(state)`, []],
  ['does not see that it hangs', 'state === undefined', ['notices that it hangs']],
])(
  'one that only watches, and %s',
  async (_what, isDown, expected) => {
    const child = spawn('sleep', ['1000'], { stdio: 'ignore' });
    const probe = `async () => {
      const { readFileSync } = await import('node:fs');
      let state;
      try { state = readFileSync('/proc/${child.pid ?? 0}/stat', 'utf8').split(' ')[2]; } catch {}
      if (state === 'Z') state = undefined;
      return { state: ${isDown} ? 'failed' : 'ok', sentence: 'state ' + state };
    }`;
    const verdicts = await tried({ probe }, child.pid);
    expect(verdicts.map(({ check }) => check)).toEqual([
      'validate',
      'probe',
      'notices that it hangs',
      'notices that it goes on',
      'notices that it was killed',
    ]);
    expect(failed(verdicts)).toEqual(expected);
  },
  60_000,
);

test.concurrent('one that needs a program which is missing', async () => {
  const start = `async (p, context) => startProgram({ run: ['/no/such/till'] }, context)`;
  const verdicts = await tried({ start });
  expect(failed(verdicts)).toEqual(['start']);
  expect(verdicts.find(({ check }) => check === 'start')?.sentence).toContain('/no/such/till');
}, 60_000);
