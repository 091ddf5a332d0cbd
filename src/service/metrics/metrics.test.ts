import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { expect, test } from 'vitest';
import type { GroupStatus } from '../status.ts';
import { METRICS, metricsText } from './metrics.ts';

const root = resolve(import.meta.dirname, '../../..');

function textOf(group: Partial<GroupStatus>, name = 'shop'): string {
  const status = {
    node: { name: 'one', version: '1.2.3' },
    peer: { name: 'two', reachable: true },
    groups: [
      {
        name,
        epoch: 4,
        copy: 'up-to-date',
        link: 'connected',
        alone: false,
        halted: null,
        troubles: [],
        lagMs: 1500,
        backlogBytes: 10,
        wireBytesPerSecond: 20,
        scan: null,
        verify: { count: 2, endedAtMs: 5000 },
        local: {
          role: 'primary',
          process: 'running',
          status: { limit: { rate: null }, commitWaitMs: 250 },
          failover: { paused: true },
          agents: [{ name: 'db "x"\n', seen: { state: 'failed', ms: 30 }, restarts: 1 }],
        },
        ...group,
      },
    ],
  };
  return metricsText({
    status: status as unknown as Parameters<typeof metricsText>[0]['status'],
    processes: [
      { pid: 1, kind: 'service', group: null, residentBytes: 100, threads: 1, cpuSeconds: 1.5 },
    ],
    journalBytesMax: () => 1000,
    events: { error: 3 },
    eventsLost: 0,
  });
}

test('a line for each value, with help and type once before', () => {
  const text = textOf({});
  const lines = text.split('\n');
  expect(lines).toContain('understudy_build_info{version="1.2.3",node="one"} 1');
  expect(lines).toContain('understudy_group_lag_seconds{group="shop"} 1.5');
  expect(lines).toContain('understudy_group_commit_wait_seconds{group="shop"} 0.25');
  expect(lines).toContain('understudy_group_copy_state{group="shop",state="up-to-date"} 1');
  expect(lines).toContain('understudy_group_copy_state{group="shop",state="syncing"} 0');
  expect(lines).toContain('understudy_group_paused{group="shop"} 1');
  expect(lines).toContain('understudy_agent_up{group="shop",agent="db \\"x\\"\\n"} 0');
  expect(lines).toContain('understudy_events_total{level="error"} 3');
  expect(lines).toContain('understudy_process_resident_bytes{kind="service"} 100');
  expect(text).not.toContain('understudy_group_limit_bytes_per_second{');
  const types = lines.filter((line) => line.startsWith('# TYPE'));
  expect(new Set(types).size).toBe(types.length);
  for (const line of lines.filter((one) => one !== '' && !one.startsWith('#'))) {
    expect(line).toMatch(/^understudy_[a-z_]+(\{.*\})? -?[\d.e+]+$/);
  }
});

test.each(['up-to-date', 'catching-up', 'syncing', 'diverged', 'halted', 'empty', 'unknown'])(
  'a copy that is %s is in one state',
  (copy) => {
    const states = textOf({ copy })
      .split('\n')
      .filter((line) => /^understudy_group_copy_state.* 1$/.test(line));
    expect(states).toEqual([`understudy_group_copy_state{group="shop",state="${copy}"} 1`]);
  },
);

test('what only one of both roles knows is told by that one', () => {
  const local = {
    role: 'standby',
    process: 'running',
    status: { journalBytes: 7 },
    failover: null,
    agents: [],
  };
  const text = textOf({ local: local as unknown as GroupStatus['local'] });
  expect(text).toContain('understudy_group_journal_bytes{group="shop"} 7');
  expect(text).toContain('understudy_group_journal_limit_bytes{group="shop"} 1000');
  expect(text).not.toContain('understudy_group_lag_seconds');
});

test('docs/metrics.md lists exactly the metrics that there are, with type and help', () => {
  const page = readFileSync(resolve(root, 'docs/metrics.md'), 'utf8');
  const rows = page.split('\n').filter((line) => line.startsWith('| `understudy_'));
  const listed = rows.map((row) =>
    row
      .split('|')
      .slice(1, 4)
      .map((cell) => cell.trim()),
  );
  const known = Object.values(METRICS).map(({ name, type, help }) => [`\`${name}\``, type, help]);
  expect(listed.map(([name = '', ...rest]) => [name.replace(/\{.*\}`$/, '`'), ...rest])).toEqual(
    known,
  );
});

test('dashboard and alert rules ask for metrics that exist', () => {
  const known = new Set<string>(Object.values(METRICS).map(({ name }) => name));
  for (const file of ['grafana-dashboard.json', 'prometheus-alerts.yaml']) {
    const text = readFileSync(resolve(root, 'packaging', file), 'utf8');
    const used = [...text.matchAll(/understudy_[a-z_]+/g)].map(([name]) => name);
    expect(used.length).toBeGreaterThan(5);
    expect([file, used.filter((name) => !known.has(name))]).toEqual([file, []]);
  }
});

test('alert rules and dashboard join metrics by labels that both have', () => {
  const page = readFileSync(resolve(root, 'docs/metrics.md'), 'utf8');
  const labels = new Map(
    [...page.matchAll(/\| `(understudy_\w+)(?:\{(.*)\})?`/g)].map(([, name, list]) => [name, list]),
  );
  const operand = String.raw`(understudy_\w+)(?:\{[^}]*\})?(?: == \d)?`;
  const joint = new RegExp(
    String.raw`${operand} (?:and|or|unless|[*/]) (on ?\([a-z, ]+\) )?\(?(?:1 - )?${operand}`,
    'g',
  );
  const joints = ['grafana-dashboard.json', 'prometheus-alerts.yaml'].flatMap((file) => {
    const text = readFileSync(resolve(root, 'packaging', file), 'utf8').replaceAll('\\"', '"');
    return [...text.matchAll(joint)];
  });
  expect(joints.length).toBeGreaterThan(5);
  const wrong = joints.filter(
    ([, left, by, right]) => by === undefined && labels.get(left) !== labels.get(right),
  );
  expect(wrong.map(([text]) => text)).toEqual([]);
});
