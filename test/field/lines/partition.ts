// Random partitions, with etcd as the arbiter: what a client was promised has to be there, once.
import type { Lab } from '../../../lab/lab.ts';
import { ETCD_HOST } from '../etcd-host.ts';
import type { FieldLine, Scene } from '../types.ts';

/** Everything that can be cut, and where. */
const LINKS = [
  ['a', 'b', 'lan'],
  ['a', 'b', 'sync'],
  ['a', ETCD_HOST, 'lan'],
  ['b', ETCD_HOST, 'lan'],
  ['a', 'client', 'lan'],
  ['b', 'client', 'lan'],
] as const;
const CUTS_MIN = 2;
const ONE_WAY_SHARE = 0.25;

/** Cuts at least two links, one of them between the nodes, some in one direction only. */
async function cutSome(lab: Lab): Promise<string[]> {
  const shuffled = LINKS.map((link) => ({ link, weight: Math.random() }))
    .toSorted((one, other) => one.weight - other.weight)
    .map(({ link }) => link);
  // A partition that only clients and the arbiter feel is noticed by neither node.
  const between = shuffled.find(([one, other]) => one === 'a' && other === 'b');
  const others = shuffled.filter((link) => link !== between);
  const count = CUTS_MIN + Math.floor(Math.random() * (LINKS.length - CUTS_MIN + 1));
  const links = [...(between === undefined ? [] : [between]), ...others].slice(0, count);
  const cuts: string[] = [];
  for (const link of links) {
    const [one, other, network] = link;
    const oneWay = Math.random() < ONE_WAY_SHARE;
    const [from, to] = Math.random() < 0.5 ? [one, other] : [other, one];
    await lab.cut(from, to, { network, oneWay });
    cuts.push(`${from} ${oneWay ? '→' : '↔'} ${to} (${network})`);
  }
  return cuts;
}

async function strike({ bed, note }: Scene): Promise<void> {
  note(`cut: ${(await cutSome(bed.lab)).join(', ')}`);
}

export const partition: FieldLine = {
  name: 'partition',
  fault: 'random partition, etcd as arbiter',
  expected: 'at most one node serves; nothing acknowledged is lost or doubled',
  moves: 'either',
  outageMsMax: 20_000,
  outageFromMend: true,
  noticedBy: ['NETWORK_DOWN', 'PEER_SILENT', 'STEPS_DOWN', 'LINK_DOWN'],
  arbiter: 'etcd',
  watchMs: 6000,
  strike,
  mend: async ({ bed }) => bed.lab.heal(),
};
