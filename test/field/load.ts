// Clients that post transfers through the virtual address all the time, and what they were promised.
import { closeSync, openSync, readSync } from 'node:fs';
import { join } from 'node:path';
import type { Acknowledged } from '../../examples/ledger/client-log.ts';
import { NODE, spawnLogged } from '../../lab/demo/application.ts';
import { CHECKOUT } from '../../lab/enter.ts';
import type { LabHost } from '../../lab/host.ts';
import type { LabProcess } from '../../lab/lab-process.ts';

const CLIENT = join(CHECKOUT, 'examples/ledger/client.ts');
const WORKERS = 4;
const TRANSFERS_PER_SECOND = 60;
/** As impatient as a person with a button: an answer that takes longer is asked for again. */
const ANSWER_TIMEOUT_MS = 400;
const CHUNK_BYTES = 256 * 1024;

export class Load {
  readonly #client: LabHost;
  readonly #log: string;
  readonly #entries: Acknowledged[] = [];
  readonly #process: LabProcess;
  #offset = 0;
  #rest = '';

  /** Starts at once. `name` is unique in the lab. */
  constructor(client: LabHost, url: string, name: string) {
    this.#client = client;
    this.#log = `/srv/${name}.jsonl`;
    const options = ['--workers', WORKERS, '--rate', TRANSFERS_PER_SECOND].map(String);
    const argv = [NODE, CLIENT, 'run', '--target', url, '--log', this.#log, ...options];
    argv.push('--timeout', String(ANSWER_TIMEOUT_MS));
    this.#process = spawnLogged(client, 'field-client', argv);
  }

  /** All acknowledged so far, in the order in which the answers came. */
  acknowledged(): readonly Acknowledged[] {
    let fd: number;
    try {
      fd = openSync(this.#client.pathFromOutside(this.#log), 'r');
    } catch {
      return this.#entries;
    }
    try {
      const chunk = Buffer.alloc(CHUNK_BYTES);
      for (;;) {
        const bytes = readSync(fd, chunk, 0, chunk.length, this.#offset);
        if (bytes === 0) return this.#entries;
        this.#offset += bytes;
        this.#take(chunk.toString('utf8', 0, bytes));
      }
    } finally {
      closeSync(fd);
    }
  }

  #take(text: string): void {
    const lines = (this.#rest + text).split('\n');
    this.#rest = lines.pop() ?? '';
    for (const line of lines) this.#entries.push(JSON.parse(line) as Acknowledged);
  }

  async stop(): Promise<void> {
    this.#process.kill('SIGTERM');
    await this.#process.ended;
  }
}
