// A fleet that is made up: as many pairs as one likes, in all states.
import type { FleetOverview } from '../../src/console/fleet/overview.ts';
import type { Level, Problem } from '../../src/console/fleet/problems.ts';
import { nodeOf, overviewOf } from '../../src/console/web/fixtures/overviews.ts';

const STATES: readonly {
  readonly level: Level;
  readonly copy: string;
  readonly problems: readonly Problem[];
}[] = [
  { level: 'error', copy: 'up-to-date', problems: [{ code: 'ALONE', level: 'error', params: {} }] },
  {
    level: 'warning',
    copy: 'catching-up',
    problems: [{ code: 'COPY_BEHIND', level: 'warning', params: {} }],
  },
  { level: 'ok', copy: 'up-to-date', problems: [] },
];

/** Every tenth has a fault, every other tenth a warning. `round` changes all lags. */
export function manyPairs(count: number, round: number): FleetOverview {
  const groups = Array.from({ length: count }, (_, index) => {
    const number = String(index).padStart(3, '0');
    const state = STATES[index % 10] ?? STATES[2];
    return overviewOf({
      name: `group-${number}`,
      primary: `site${number}-a`,
      standby: `site${number}-b`,
      primaryId: `a${number}`,
      standbyId: `b${number}`,
      seenFrom: `a${number}`,
      lagMs: (index * 7 + round * 13) % 900,
      wireBytesPerSecond: (index * 4099 + round * 1000) % 5_000_000,
      ...state,
    });
  });
  const nodes = groups.flatMap(({ primary, standby, primaryId, standbyId }) =>
    [
      [primaryId, primary, standby],
      [standbyId, standby, primary],
    ].map(([id, name, peerName]) =>
      nodeOf({
        id: id ?? '',
        name: name ?? '',
        peerName: peerName ?? null,
        where: `192.0.2.${(round % 9) + 1}`,
      }),
    ),
  );
  const of = (level: Level): number => groups.filter((group) => group.level === level).length;
  const order: readonly Level[] = ['error', 'warning', 'info', 'ok'];
  return {
    at: new Date().toISOString(),
    counts: {
      nodes: nodes.length,
      nodesUnreachable: 0,
      groups: count,
      byLevel: { ok: of('ok'), info: of('info'), warning: of('warning'), error: of('error') },
    },
    nodes,
    groups: groups.toSorted((one, other) => order.indexOf(one.level) - order.indexOf(other.level)),
  };
}
