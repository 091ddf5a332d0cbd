// What the demo needs to know about an application: how to set it up, start it, load it from
// another host, and find out afterwards whether it kept its promises.
import { closeSync, openSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { UnderstudyError } from '../../src/core/errors.ts';
import { CHECKOUT } from '../enter.ts';
import type { LabHost } from '../host.ts';
import type { LabProcess } from '../lab-process.ts';
import { waitUntil } from '../run.ts';

export const NODE = join(CHECKOUT, 'node_modules/.bin/node');

/** One commit that the application acknowledged to its client. */
export interface Acknowledgement {
  readonly id: string;
  /** Wall clock, milliseconds. */
  readonly at: number;
  /** Address of the server that acknowledged it, or a URL with that address. */
  readonly server: string;
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
  /** Makes the data that is there before protection begins; leaves no file open. */
  prepare(host: LabHost): Promise<void>;
  /** Starts it and waits until it serves. */
  start(host: LabHost): Promise<void>;
  /** Starts clients that never stop asking any of `servers`. */
  startLoad(client: LabHost, servers: readonly LabHost[]): Promise<void>;
  /** Called when the first server has lost its power and the second one serves. */
  turnLoad(client: LabHost, server: LabHost): Promise<void>;
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

/** Waits until `ready` holds, or says where to look. */
export async function waitUntilServing(
  host: LabHost,
  name: string,
  ready: () => Promise<boolean>,
): Promise<void> {
  if (await waitUntil(ready, 60_000, 20)) return;
  throw new UnderstudyError(
    'DEMO_APPLICATION_SILENT',
    `${name} on ${host.name} does not serve: see ${host.logDirectory}/${name}.log`,
  );
}
