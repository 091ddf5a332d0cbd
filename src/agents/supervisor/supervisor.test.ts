// Order, restarts in place, escalation and giving up: one test for each rule.
import { expect, test } from 'vitest';
import { agentNamed, DONE, Driver, FAILED, seenAs } from './fixtures.ts';
import { wakeAtMs } from './step.ts';

const chain = [agentNamed('db'), agentNamed('web', ['db']), agentNamed('mail', ['db'])];

function running(driver: Driver): Driver {
  driver.tell({ kind: 'start', request: 1 });
  driver.settle();
  expect(driver.of('answer')).toEqual([{ kind: 'answer', request: 1, failure: null }]);
  return driver;
}

test('what depends on another starts after it and stops before it; what does not, at the same time', () => {
  const driver = new Driver(chain);
  driver.tell({ kind: 'start', request: 1 });
  expect(driver.underWay).toEqual(['start db']);
  driver.end('start db');
  expect(driver.underWay).toEqual(['start web', 'start mail']);
  driver.end('start mail');
  expect(driver.of('answer')).toEqual([]);
  driver.end('start web');
  expect(driver.of('answer')).toEqual([{ kind: 'answer', request: 1, failure: null }]);

  driver.tell({ kind: 'stop', request: 2 });
  expect(driver.underWay).toEqual(['stop web', 'stop mail']);
  driver.end('stop web');
  expect(driver.underWay).toEqual(['stop mail']);
  driver.end('stop mail');
  expect(driver.underWay).toEqual(['stop db']);
  driver.end('stop db');
  expect(driver.of('answer')[1]).toEqual({ kind: 'answer', request: 2, failure: null });
});

test('each is probed by its own interval, and its result is kept', () => {
  const driver = running(
    new Driver([agentNamed('db'), agentNamed('web', [], { probeIntervalMs: 300 })]),
  );
  expect(wakeAtMs(driver.state)).toBe(300);
  driver.now = 300;
  driver.tell({ kind: 'tick' });
  expect(driver.underWay).toEqual(['probe web']);
  driver.now = 350;
  driver.end('probe web', seenAs('ok', 'HTTP 200'));
  expect(driver.state.agents['web']?.seen).toMatchObject({ state: 'ok', sentence: 'HTTP 200' });
  // From beginning to beginning, not from end to beginning.
  expect(wakeAtMs(driver.state)).toBe(600);
  expect(driver.of('report')).toEqual([]);
  driver.now = 1000;
  driver.tell({ kind: 'tick' });
  driver.end('probe db', seenAs('degraded', 'it is slow'));
  expect(driver.codes).toEqual(['AGENT_DEGRADED']);
  expect(driver.of('report').at(-1)).toEqual({ kind: 'report', state: 'ok', why: '' });
});

test.each(['failed', 'stopped'])(
  '%s: it is restarted in place with what depends on it',
  (state) => {
    const driver = running(new Driver(chain));
    driver.now = 1000;
    driver.tell({ kind: 'tick' });
    const effects = driver.end('probe db', seenAs(state, 'no answer'));
    expect(effects.map(({ kind }) => kind)).toContain('abort');
    expect(driver.codes).toEqual(['AGENT_RESTARTED']);
    expect(driver.underWay.toSorted()).toEqual(['stop mail', 'stop web']);
    driver.end('stop web');
    driver.end('stop mail');
    expect(driver.underWay).toEqual(['stop db']);
    driver.end('stop db');
    expect(driver.underWay).toEqual(['start db']);
    driver.settle();
    expect(Object.values(driver.state.agents).map(({ phase }) => phase)).toEqual([
      'running',
      'running',
      'running',
    ]);
    // Nobody has to decide about anything, and nobody's own failures are counted but those of the one.
    expect(driver.of('report')).toEqual([]);
    expect(Object.values(driver.state.agents).map(({ restartsMs }) => restartsMs.length)).toEqual([
      1, 0, 0,
    ]);
  },
);

test('no answer in time is a failure; an agent that is at fault itself is none', () => {
  const driver = running(new Driver([agentNamed('db')]));
  driver.now = 1000;
  driver.tell({ kind: 'tick' });
  driver.end('probe db', { kind: 'unusable', why: 'its process died', ms: 1 });
  expect(driver.codes).toEqual(['AGENT_UNUSABLE']);
  expect(driver.underWay).toEqual([]);
  driver.now = 2000;
  driver.tell({ kind: 'tick' });
  driver.end('probe db', { kind: 'late', why: 'it was not done within 5000 ms', ms: 5000 });
  expect(driver.codes).toEqual(['AGENT_UNUSABLE', 'AGENT_RESTARTED']);
  expect(driver.state.agents['db']?.seen?.state).toBe('hung');
});

test('one that only watches has what it watches started again', () => {
  const page = agentNamed('page', ['web'], { watchesOnly: true });
  const driver = running(new Driver([agentNamed('db'), agentNamed('web', ['db']), page]));
  driver.now = 1000;
  driver.tell({ kind: 'tick' });
  driver.end('probe page', { kind: 'late', why: 'no answer', ms: 5000 });
  driver.settle();
  expect(
    driver
      .of('run')
      .slice(3)
      .map(({ operation, agent }) => `${operation} ${agent}`),
  ).toEqual(['stop page', 'stop web', 'start web', 'start page']);
  // Its own failures count.
  expect(driver.state.agents['page']?.restartsMs).toHaveLength(1);
  expect(driver.state.agents['web']?.restartsMs).toHaveLength(0);
});

test('after the limit it is given up here, and that is said until somebody acts', () => {
  const driver = running(new Driver([agentNamed('db')]));
  const failOnce = (): void => {
    driver.now += 1000;
    driver.tell({ kind: 'tick' });
    driver.end('probe db', seenAs('failed'));
    driver.settle();
  };
  failOnce();
  failOnce();
  expect(driver.of('report')).toEqual([]);
  failOnce();
  expect(driver.of('report')).toEqual([
    { kind: 'report', state: 'failed', why: 'agent "db": it is failed' },
  ]);
  expect(driver.underWay).toEqual([]);
  failOnce();
  expect(driver.of('report')).toHaveLength(2);
  expect(driver.codes.filter((code) => code === 'AGENT_FAILED')).toHaveLength(1);
  // Tried anew by whoever decides: one that fails again at once is given up at once.
  driver.tell({ kind: 'stop', request: 2 });
  driver.settle();
  driver.tell({ kind: 'start', request: 3 });
  driver.settle();
  failOnce();
  expect(driver.of('report')).toHaveLength(3);
  // Failures that are long past, or forgiven, do not count.
  driver.tell({ kind: 'forgive' });
  driver.tell({ kind: 'start', request: 4 });
  driver.settle();
  failOnce();
  expect(driver.codes.at(-1)).toBe('AGENT_RESTARTED');
  driver.now += 60_001;
  failOnce();
  expect(driver.codes.at(-1)).toBe('AGENT_RESTARTED');
});

test('a start that fails is tried again up to the limit, then the request fails', () => {
  const driver = new Driver(chain);
  driver.tell({ kind: 'start', request: 1 });
  driver.end('start db');
  driver.end('start mail');
  for (let tries = 0; tries < 2; tries += 1) {
    driver.end('start web', FAILED);
    driver.end('stop web');
    expect(driver.underWay).toEqual(['start web']);
  }
  driver.end('start web', FAILED);
  expect(driver.of('answer')).toEqual([
    {
      kind: 'answer',
      request: 1,
      failure: {
        kind: 'failed',
        agent: 'web',
        action: 'start',
        why: 'it is broken',
      },
    },
  ]);
});

test('a stop that fails ends the request; within a restart, force is used and all start anew', () => {
  const driver = running(new Driver(chain));
  driver.now = 1000;
  driver.tell({ kind: 'tick' });
  driver.end('probe web', seenAs('failed'));
  driver.end('stop web', { kind: 'late', why: 'it was not done within 100 ms', ms: 100 });
  const [{ op } = { op: 0 }] = driver.of('killAll');
  expect(driver.codes).toEqual(['AGENT_RESTARTED', 'STOP_ESCALATED']);
  expect(driver.underWay.filter((what) => !what.startsWith('probe'))).toEqual([]);
  driver.tell({ kind: 'killed', op, left: null });
  expect(driver.underWay).toEqual(['start db']);
  driver.settle();

  driver.tell({ kind: 'stop', request: 2 });
  driver.end('stop mail');
  driver.end('stop web', FAILED);
  expect(driver.of('answer').at(-1)).toEqual({
    kind: 'answer',
    request: 2,
    failure: { kind: 'failed', agent: 'web', action: 'stop', why: 'it is broken' },
  });
  expect(driver.underWay).toEqual([]);
});

test('what cannot be killed is given up on this node', () => {
  const driver = running(new Driver([agentNamed('db')]));
  driver.now = 1000;
  driver.tell({ kind: 'tick' });
  driver.end('probe db', seenAs('failed'));
  driver.end('stop db', FAILED);
  const [{ op } = { op: 0 }] = driver.of('killAll');
  driver.tell({ kind: 'killed', op, left: 'process 7 cannot be killed' });
  expect(driver.of('report')).toEqual([
    { kind: 'report', state: 'failed', why: 'process 7 cannot be killed' },
  ]);
});

test('a request overtakes the one before: its start is given up, then everything is stopped', () => {
  const driver = new Driver(chain);
  driver.tell({ kind: 'start', request: 1 });
  const effects = driver.tell({ kind: 'stop', request: 2 });
  expect(effects[0]).toMatchObject({ kind: 'abort' });
  expect(driver.of('answer')).toMatchObject([
    { request: 1, failure: { kind: 'aborted', agent: 'db' } },
  ]);
  driver.end('start db', { kind: 'aborted', why: 'it was given up', ms: 1 });
  driver.settle();
  expect(driver.of('answer').at(-1)).toEqual({ kind: 'answer', request: 2, failure: null });
  expect(driver.of('run').map(({ operation, agent }) => `${operation} ${agent}`)).toEqual([
    'start db',
    'stop web',
    'stop mail',
    'stop db',
  ]);
});

test('a request that is given up ends at once, and leaves no operation behind', () => {
  const driver = new Driver(chain);
  driver.tell({ kind: 'start', request: 1 });
  driver.tell({ kind: 'giveUp' });
  expect(driver.of('answer')).toMatchObject([{ request: 1, failure: { kind: 'aborted' } }]);
  driver.end('start db', DONE);
  expect(driver.underWay).toEqual([]);
});

test('while commits wait for a lost standby, a database that does not answer has not failed', () => {
  const driver = running(new Driver([agentNamed('db')]));
  driver.now = 1000;
  driver.tell({ kind: 'tick' });
  const op = driver.state.agents['db']?.probeOp ?? 0;
  driver.tell({ kind: 'probed', op, outcome: seenAs('failed'), excused: true });
  expect(driver.codes).toEqual([]);
  expect(driver.underWay).toEqual([]);
  expect(driver.of('report')).toEqual([]);
  expect(driver.state.agents['db']?.seen?.state).toBe('failed');
});

test('paused: told once, and nothing is restarted; afterwards it is', () => {
  const driver = running(new Driver([agentNamed('db')]));
  driver.tell({ kind: 'pause', on: true });
  for (const at of [1000, 2000]) {
    driver.now = at;
    driver.tell({ kind: 'tick' });
    driver.end('probe db', seenAs('stopped'));
  }
  expect(driver.codes).toEqual(['AGENT_FAILED']);
  expect(driver.underWay).toEqual([]);
  driver.tell({ kind: 'pause', on: false });
  driver.now = 3000;
  driver.tell({ kind: 'tick' });
  driver.end('probe db', seenAs('stopped'));
  expect(driver.underWay).toEqual(['stop db']);
});

test('without anybody who decides, failures are told and a start that fails is answered at once', () => {
  const driver = new Driver(chain, { restartsInPlace: false });
  driver.tell({ kind: 'start', request: 1 });
  driver.end('start db', FAILED);
  expect(driver.of('answer')).toMatchObject([{ failure: { agent: 'db', why: 'it is broken' } }]);
  driver.tell({ kind: 'start', request: 2 });
  driver.settle();
  driver.now = 1000;
  driver.tell({ kind: 'tick' });
  driver.end('probe db', seenAs('stopped'));
  expect(driver.codes).toEqual(['AGENT_FAILED']);
  expect(driver.underWay.filter((what) => what.startsWith('stop'))).toEqual([]);
});

test('agents that were started before are probed, not started', () => {
  const driver = new Driver([agentNamed('db')]);
  driver.tell({ kind: 'adopt' });
  expect(driver.underWay).toEqual([]);
  driver.now = 1000;
  driver.tell({ kind: 'tick' });
  expect(driver.underWay).toEqual(['probe db']);
});

test('the files were gone: everything is restarted, and that counts', () => {
  const driver = running(new Driver(chain));
  driver.tell({ kind: 'trouble', why: 'the process of the filter had ended' });
  expect(driver.underWay.toSorted()).toEqual(['stop mail', 'stop web']);
  driver.settle();
  expect(driver.state.agents['db']?.restartsMs).toHaveLength(1);
  driver.tell({ kind: 'trouble', why: 'again' });
  driver.settle();
  driver.tell({ kind: 'trouble', why: 'and again' });
  expect(driver.of('report')).toMatchObject([{ state: 'failed' }]);
});

test('a probe that ends after its application was told to stop says nothing', () => {
  const driver = running(new Driver(chain, {}));
  driver.now = 1000;
  driver.tell({ kind: 'tick' });
  const [asked] = [...driver.open].find(([, what]) => what === 'probe db') ?? [];
  driver.tell({ kind: 'stop', request: 2 });
  driver.tell({ kind: 'probed', op: asked ?? 0, outcome: seenAs('failed'), excused: false });
  expect(driver.codes).toEqual([]);
  expect(driver.state.agents['db']).toMatchObject({ restartsMs: [], wantsRestart: false });
  driver.settle();
  expect(driver.of('answer').at(-1)).toEqual({ kind: 'answer', request: 2, failure: null });
  expect(driver.of('report')).toEqual([]);
});

test('what was killed is not shown as its last probe saw it', () => {
  const driver = running(new Driver([agentNamed('db')]));
  driver.now = 1000;
  driver.tell({ kind: 'tick' });
  driver.end('probe db', seenAs('ok'));
  driver.tell({ kind: 'stop', request: 2 });
  driver.end('stop db', FAILED);
  driver.tell({ kind: 'allKilled' });
  expect(driver.state.agents['db']).toMatchObject({ phase: 'stopped', seen: null });
});

test('in maintenance a start that fails is not tried again before that is over', () => {
  const driver = running(new Driver([agentNamed('db')]));
  driver.now = 1000;
  driver.tell({ kind: 'tick' });
  driver.end('probe db', seenAs('stopped', 'it is gone'));
  driver.end('stop db');
  expect(driver.underWay).toEqual(['start db']);
  driver.tell({ kind: 'pause', on: true });
  driver.end('start db', FAILED);
  expect(driver.underWay).toEqual([]);
  driver.tell({ kind: 'pause', on: false });
  expect(driver.underWay).toEqual(['start db']);
});
