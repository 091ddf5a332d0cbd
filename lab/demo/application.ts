// What the demo needs to know about an application: how to set it up, what starts and stops it, how to load it
// from another host, and how to find out afterwards whether it kept its promises.
import { closeSync, openSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { UnderstudyError } from '../../src/core/errors.ts';
import { CHECKOUT } from '../enter.ts';
import type { LabHost } from '../host.ts';
import type { LabProcess } from '../lab-process.ts';
import type { CommandAgent } from '../managed.ts';

export const NODE = join(CHECKOUT, 'node_modules/.bin/node');

/** One commit that the application acknowledged to its client. */
export interface Acknowledgement {
  readonly id: string;
  /** Wall clock, milliseconds. */
  readonly at: number;
  /** Name of the server that acknowledged it. */
  readonly node: string;
}

export interface Verdict {
  /** Acknowledged commits that the application does not have. */
  readonly lost: readonly Acknowledgement[];
  /** `ok`, or what is wrong. */
  readonly integrity: string;
  /** Further findings for the table. */
  readonly details: Readonly<Record<string, string | number>>;
}

export interface DemoApplication {
  readonly name: string;
  /** Protected directory. */
  readonly directory: string;
  /** What one commit is called. */
  readonly commitName: string;
  /** What the nodes run to start it where it is to be, to stop it, and to see whether it answers. */
  readonly agent: CommandAgent;
  /** Makes the data that is there before protection begins; leaves no file open. */
  prepare(host: LabHost): Promise<void>;
  /** Starts clients that know one address and never stop asking it. */
  startLoad(client: LabHost, address: string): Promise<void>;
  /** Called when another server has answered: for clients that would wait for the first one for ever. */
  turnLoad(client: LabHost): Promise<void>;
  stopLoad(client: LabHost): Promise<void>;
  acknowledged(client: LabHost): Acknowledgement[];
  verify(host: LabHost, acknowledged: readonly Acknowledgement[]): Promise<Verdict>;
}

/** Reads a client's log from outside its host; a line still being written is left out. */
export function readAcknowledgements(client: LabHost, path: string): Acknowledgement[] {
  let text: string;
  try {
    text = readFileSync(client.pathFromOutside(path), 'utf8');
  } catch {
    return [];
  }
  return text
    .slice(0, text.lastIndexOf('\n') + 1)
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as Acknowledgement);
}

/** Starts a program with its output in a file beside the host's other logs. */
export function spawnLogged(
  host: LabHost,
  name: string,
  argv: readonly string[],
  user?: string,
): LabProcess {
  const log = openSync(join(host.logDirectory, `${name}.log`), 'a');
  try {
    return host.spawn(argv, { user, stdio: ['ignore', log, log] });
  } finally {
    closeSync(log);
  }
}

/** Runs one of an agent's commands as a node would. */
export async function runAgentCommand(host: LabHost, command: string): Promise<void> {
  // Not through our pipes: what it starts keeps them open.
  const argv = ['sh', '-c', `{ ${command}\n} >/dev/null 2>&1`];
  const { code } = await host.exec(argv, { timeoutMs: 60_000 });
  if (code === 0) return;
  throw new UnderstudyError(
    'DEMO_APPLICATION_SILENT',
    `on ${host.name}: "${command}" failed (${code ?? 'no end in time'})`,
  );
}
