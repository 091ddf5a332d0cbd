// A group with a small real application, an address and failover, made by the command line.
import { join } from 'node:path';
import { NODE } from '../../lab/demo/application.ts';
import { CHECKOUT } from '../../lab/enter.ts';
import { managedGroupYaml } from '../../lab/managed.ts';
import { understudy } from '../../lab/pair.ts';
import type { ConsoleBed } from './bed.ts';

export const GROUP = 'ledger';
const DIRECTORY = '/srv/ledger';
const PORT = 8080;
const AGENT = join(CHECKOUT, 'examples/ledger/agent.sh');

const action = (name: string): string =>
  `LEDGER_NODE=${NODE} ${AGENT} ${name} ${DIRECTORY} ${PORT}`;

/** Does not wait for the copy. */
export async function createLedgerGroup({ a, lab }: ConsoleBed): Promise<void> {
  await a.must(['mkdir', '-p', `${DIRECTORY}/documents`]);
  await a.must(['sh', '-c', `head -c 3M /dev/urandom > ${DIRECTORY}/documents/receipts`]);
  for (const name of ['start', 'stop'])
    await a.must(['sh', '-c', `${action(name)} >/dev/null 2>&1`]);
  const agent = { start: action('start'), stop: action('stop'), probe: action('probe') };
  const group = {
    name: GROUP,
    directory: DIRECTORY,
    mode: 'sync',
    profile: 'fast',
    agent,
  } as const;
  await understudy(a, ['group', 'create', '--file', '-'], {
    input: managedGroupYaml(lab, group),
    timeoutMs: 60_000,
  });
}
