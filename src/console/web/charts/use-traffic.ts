// What moves, second by second, while somebody looks: of the groups and the network cards of one node. The node looks at itself only
// while it is followed.
import { useEffect, useState } from 'react';
import type { Traffic } from '../../../service/admin-api/stream.ts';
import { nodeRoute } from '../app/api.ts';
import { StreamFollower } from '../app/live.ts';
import type { Point } from './series.ts';

const KEPT_SECONDS = 300;
const NOTHING = { node: null, seen: [] } as const;

/** The last minutes, oldest first; empty without a node, and at first. */
export function useTraffic(node: string | null): readonly Traffic[] {
  const [told, setTold] = useState<{ node: string | null; seen: readonly Traffic[] }>(NOTHING);
  useEffect(() => {
    if (node === null) return undefined;
    const follower = new StreamFollower(nodeRoute(node, '/stream'), (name, data) => {
      if (name !== 'traffic') return;
      const traffic = data as Traffic;
      setTold((before) => ({
        node,
        seen: [...(before.node === node ? before.seen.slice(1 - KEPT_SECONDS) : []), traffic],
      }));
    });
    follower.start();
    return () => follower.stop();
  }, [node]);
  return told.node === node ? told.seen : NOTHING.seen;
}

/** One measure of one group as points of a line. */
export function trafficPoints(
  seen: readonly Traffic[],
  group: string,
  measure: 'wireBytesPerSecond' | 'lagMs' | 'backlogBytes',
): Point[] {
  return seen.flatMap(({ at, groups }): Point[] => {
    const value = groups.find(({ name }) => name === group)?.[measure];
    const seconds = Date.parse(at) / 1000;
    return value === undefined || value === null ? [] : [[seconds, value, value, value]];
  });
}

/** Bytes per second over one network card, in both directions. */
export function interfaceRates(
  seen: readonly Traffic[],
  name: string,
): { readonly received: readonly number[]; readonly sent: readonly number[] } {
  const found = seen.flatMap(({ interfaces }) => interfaces.find((one) => one.name === name) ?? []);
  return {
    received: found.map(({ receivedBytesPerSecond }) => receivedBytesPerSecond),
    sent: found.map(({ sentBytesPerSecond }) => sentBytesPerSecond),
  };
}
