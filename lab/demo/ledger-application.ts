// The ledger of examples/ledger as the application of the demo.
import { join } from 'node:path';
import type { Audit } from '../../examples/ledger/ledger.ts';
import { CHECKOUT } from '../enter.ts';
import type { LabHost } from '../host.ts';
import type { LabProcess } from '../lab-process.ts';
import type { CommandAgent } from '../managed.ts';
import {
  type Acknowledgement,
  type DemoApplication,
  NODE,
  readAcknowledgements,
  runAgentCommand,
  spawnLogged,
  type Verdict,
} from './application.ts';

const PORT = 8080;
const ACK_LOG = '/srv/acknowledged.jsonl';
/** As impatient as a person with a button; asks again at once. */
const ANSWER_TIMEOUT_MS = 400;
const AGENT = join(CHECKOUT, 'examples/ledger/agent.sh');
const CLIENT = join(CHECKOUT, 'examples/ledger/client.ts');

export class LedgerApplication implements DemoApplication {
  readonly name = 'ledger';
  readonly directory = '/srv/ledger';
  readonly commitName = 'transfers';
  readonly agent: CommandAgent;
  #client: LabProcess | undefined;

  constructor() {
    const command = (action: string): string =>
      `LEDGER_NODE=${NODE} ${AGENT} ${action} ${this.directory} ${PORT}`;
    this.agent = { start: command('start'), stop: command('stop'), probe: command('probe') };
  }

  /** A used ledger has a past: a database with accounts, and some documents beside it. */
  async prepare(host: LabHost): Promise<void> {
    const documents = `mkdir -p "$1/documents" && cd "$1/documents" &&
      head -c 16M /dev/urandom | split --bytes 64K --suffix-length 3 - receipt-`;
    await host.must(['sh', '-c', documents, 'sh', this.directory]);
    await runAgentCommand(host, this.agent.start);
    await runAgentCommand(host, this.agent.stop);
  }

  async startLoad(client: LabHost, address: string): Promise<void> {
    const target = ['--target', `http://${address}:${PORT}`];
    const options = ['--workers', '4', '--timeout', String(ANSWER_TIMEOUT_MS)];
    const argv = [NODE, CLIENT, 'run', ...target, '--log', ACK_LOG, ...options];
    this.#client = spawnLogged(client, 'ledger-client', argv);
  }

  /** Its client gives up waiting by itself. */
  async turnLoad(): Promise<void> {}

  async stopLoad(): Promise<void> {
    this.#client?.kill('SIGTERM');
    await this.#client?.ended;
  }

  acknowledged(client: LabHost): Acknowledgement[] {
    return readAcknowledgements(client, ACK_LOG);
  }

  async verify(host: LabHost, acknowledged: readonly Acknowledgement[]): Promise<Verdict> {
    const audit = JSON.parse(await request(host, '/audit')) as Audit;
    const log = '/run/acknowledged.jsonl';
    const lines = acknowledged.map((entry) => `${JSON.stringify(entry)}\n`).join('');
    await host.must(['tee', log], { input: lines });
    const argv = [NODE, CLIENT, 'check', '--target', `http://127.0.0.1:${PORT}`, '--log', log];
    const { missing } = JSON.parse(await host.must(argv, { timeoutMs: 600_000 })) as {
      missing: Acknowledgement[];
    };
    return {
      lost: missing,
      integrity: findingsOf(audit),
      details: { transfersInDatabase: audit.transfers, sumOfBalances: audit.total },
    };
  }
}

function findingsOf(audit: Audit): string {
  const findings: string[] = [];
  if (audit.integrity !== 'ok') findings.push(`integrity_check: ${audit.integrity}`);
  if (!audit.isTotalRight) findings.push(`sum of balances is ${audit.total}`);
  if (audit.wrongAccounts.length > 0) {
    findings.push(`accounts ${audit.wrongAccounts.join(', ')} disagree with their transfers`);
  }
  return findings.length === 0 ? 'ok' : findings.join('; ');
}

async function request(host: LabHost, path: string): Promise<string> {
  const script = `process.stdout.write(await (await fetch(process.argv[1])).text())`;
  const url = `http://127.0.0.1:${PORT}${path}`;
  return await host.must([NODE, '--input-type=module', '-e', script, url], { timeoutMs: 120_000 });
}
