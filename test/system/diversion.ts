// Diverts new replication connections to another program on the standby's host.
import type { PairUnderTest } from './pair-under-test.ts';

/** Replication port of the first group. */
export const FIRST_PORT = 7441;

export async function divert(pair: PairUnderTest, toPort: number): Promise<void> {
  const rules = `table ip diversion {
    chain in {
      type nat hook prerouting priority -100
      iifname "eth1" tcp dport ${FIRST_PORT} redirect to :${toPort}
    }
  }
  `;
  await pair.b.must(['nft', '-f', '-'], { input: rules });
}

export async function endDiversion(pair: PairUnderTest): Promise<void> {
  await pair.b.must(['nft', 'delete', 'table', 'ip', 'diversion']);
}
