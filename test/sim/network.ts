// Networks between the two nodes, and from each node to the gateway and to etcd. Cuts are counted, so
// that overlapping faults end one by one.
import type { Random } from '../support/random.ts';

export type NodeIndex = 0 | 1;
export const otherOf = (node: NodeIndex): NodeIndex => (node === 0 ? 1 : 0);

export class Network {
  readonly name: string;
  /** Cuts of one direction, by sender. */
  readonly cutFrom: [number, number] = [0, 0];
  /** Cards or cables that are out. */
  readonly cardOut: [number, number] = [0, 0];
  switchOut = 0;
  loss = 0;
  doubles = 0;
  delayMinMs = 0.3;
  delayMaxMs = 2;

  constructor(name: string) {
    this.name = name;
  }

  /** Whether what `from` sends now can arrive. */
  carries(from: NodeIndex): boolean {
    return this.isPlugged(0) && this.isPlugged(1) && this.cutFrom[from] === 0;
  }

  /** Whether the node reaches the switch, and what stands behind it. */
  isPlugged(node: NodeIndex): boolean {
    return this.switchOut === 0 && this.cardOut[node] === 0;
  }

  delay(random: Random): number {
    const span = this.delayMaxMs - this.delayMinMs;
    // Mostly fast, now and then slow.
    const part = random.chance(0.9) ? 0.2 : 1;
    return this.delayMinMs + (span * part * random.below(1000)) / 1000;
  }
}
