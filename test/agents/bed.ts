// The bed of the agents' test: two servers, one group for each application, created from what discovery finds
// of it where it knows it.
import { UnderstudyError } from '../../src/core/errors.ts';
import { GiB } from '../../src/core/units.ts';
import type { Proposal } from '../../src/agents/discovery/proposal.ts';
import type { LabHost } from '../../lab/host.ts';
import { Lab } from '../../lab/lab.ts';
import { gatewayFailover } from '../../lab/managed.ts';
import { interfaceOf } from '../../lab/network.ts';
import { pairNodes, understudy } from '../../lab/pair.ts';
import { ManagedPair } from '../support/managed-pair.ts';
import type { LabApplication } from './applications.ts';

const DISK_BYTES = 3 * GiB;
const FIRST_NUMBER = 210;
const CREATE_TIMEOUT_MS = 120_000;

/** One application with its group. */
export interface Placed {
  readonly application: LabApplication;
  readonly address: string;
  readonly pair: ManagedPair;
  /** Keys that a client was promised. */
  readonly written: string[];
  /** Whether the group is what discovery proposed. */
  readonly isDiscovered: boolean;
}

export class AgentsBed {
  readonly lab: Lab;
  readonly client: LabHost;
  readonly placed: Placed[] = [];

  private constructor(lab: Lab) {
    this.lab = lab;
    this.client = lab.host('client');
  }

  static async up(
    applications: readonly LabApplication[],
    note: (text: string) => void,
  ): Promise<AgentsBed> {
    const lab = await Lab.up({ diskBytes: DISK_BYTES });
    const bed = new AgentsBed(lab);
    try {
      await pairNodes(lab);
      for (const [index, application] of applications.entries()) {
        const address = lab.freeAddress('lan', FIRST_NUMBER + index);
        const isDiscovered = await bed.#create(application, address);
        const pair = new ManagedPair(lab, application.name);
        bed.placed.push({ application, address, pair, written: [], isDiscovered });
        await pair.settle(CREATE_TIMEOUT_MS);
        note(
          `${application.title} is protected${isDiscovered ? ', as discovery proposed it' : ''}`,
        );
      }
      return bed;
    } catch (failure) {
      const logs = await lab.saveLogs();
      await lab.down();
      const why = failure instanceof Error ? failure.message : String(failure);
      throw new UnderstudyError('AGENTS_BED_FAILED', `${why} (logs: ${logs})`, { cause: failure });
    }
  }

  /** True when the group's directories and excludes are those that discovery proposed. */
  async #create(application: LabApplication, address: string): Promise<boolean> {
    const a = this.lab.host('a');
    const { name, directory, agents } = application;
    await application.prepare(a);
    const found = (await understudy(a, ['discover'])) as readonly Proposal[];
    const proposal = found.find(
      ({ isRunning, group }) => isRunning && group.paths.some(({ dir }) => dir === directory),
    );
    const input = JSON.stringify({
      name,
      ...(proposal === undefined ? { paths: [{ dir: directory }] } : {}),
      replication: { mode: 'sync' },
      addresses: [{ ip: `${address}/24`, interface: interfaceOf('lan') }],
      agents,
      failover: gatewayFailover(this.lab),
    });
    const base =
      proposal === undefined ? [] : ['--from-discovery', proposal.group.name, '--stop-running'];
    await understudy(a, ['group', 'create', ...base, '--file', '-'], {
      input,
      timeoutMs: CREATE_TIMEOUT_MS,
      acceptWarnings: true,
    });
    return proposal !== undefined;
  }

  async down(): Promise<void> {
    await this.lab.down();
  }
}
