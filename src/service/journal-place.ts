// Where the state of a group's process is: its journal, backlog and undo log. Below the group's own directory, or on a disk of its own
// (`journals` in node.yaml). Each generation remembers its place, so another setting never separates a copy from its journal: it
// comes into force with the next generation, at a change of role or a start as primary.
import { accessSync, constants, existsSync, mkdirSync, statfsSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { messageOf, UnderstudyError } from '../core/errors.ts';
import { formatBytes } from '../core/units.ts';
import { makePrivateDirectory } from './durable-file.ts';
import type { GroupDefinition } from './group-definition.ts';
import type { Role } from './node-protocol.ts';

/** Why nothing can be kept there, as a clause; null: it can. */
export function whyUnusable(journals: string): string | null {
  try {
    if (!statSync(journals).isDirectory()) return 'it is no directory';
    accessSync(journals, constants.W_OK | constants.X_OK);
    return null;
  } catch (thrown) {
    return messageOf(thrown);
  }
}

/** Errors: JOURNALS_UNUSABLE. */
export function requireUsable(node: string, journals: string): void {
  const why = whyUnusable(journals);
  if (why === null) return;
  throw new UnderstudyError(
    'JOURNALS_UNUSABLE',
    `"journals" in the node.yaml of node "${node}" is ${journals}: ${why}. Mount that disk and make the directory, or correct the setting`,
    { details: { node, directory: journals } },
  );
}

/** Of one generation below the place of a group. */
export const processDirectory = (place: string, generation: number): string =>
  join(place, `process-${generation}`);

/**
 * Makes the directory of a new generation on the disk for journals. Null: there is none, or it cannot be used, and the
 * generation is kept below the group's own directory; `onUnusable` is told why.
 */
export function placeForNew(
  journals: string | undefined,
  group: string,
  generation: number,
  onUnusable: (why: string) => void,
): string | null {
  if (journals === undefined) return null;
  try {
    const why = whyUnusable(journals);
    if (why !== null) throw new Error(why);
    const place = join(journals, group);
    mkdirSync(place, { recursive: true, mode: 0o700 });
    makePrivateDirectory(processDirectory(place, generation));
    return place;
  } catch (thrown) {
    // Serving counts more than where the journal is.
    onUnusable(messageOf(thrown));
    return null;
  }
}

/** The directory of a generation that has begun. Errors: JOURNALS_MISSING. */
export function placeOf(
  { own, journals }: { readonly own: string; readonly journals: string | null },
  generation: number,
): string {
  const path = processDirectory(journals ?? own, generation);
  if (existsSync(path)) return path;
  if (journals === null) {
    makePrivateDirectory(path);
    return path;
  }
  throw new UnderstudyError(
    'JOURNALS_MISSING',
    `${path} is not there: it has the journal that belongs to the copy. Mount the disk that it is on; it is looked for again. If it is lost, take the key "journals" out of the group's state.json with the service stopped, and the group is copied anew`,
    { details: { directory: path } },
  );
}

/** What an operator should know before a group is created here. */
export function spaceWarnings(
  {
    name,
    replication,
  }: {
    readonly name: string;
    readonly replication: Pick<
      GroupDefinition['replication'],
      'backlogBytesMax' | 'journalBytesMax'
    >;
  },
  at: { readonly node: string; readonly directory: string; readonly role: Role },
): string[] {
  const { bavail, bsize } = statfsSync(at.directory);
  const free = bavail * bsize;
  const isPrimary = at.role === 'primary';
  const most = isPrimary ? replication.backlogBytesMax : replication.journalBytesMax;
  if (free >= most) return [];
  const what = isPrimary ? 'the backlog for an absent standby' : 'the journal';
  return [
    `${what} of group "${name}" may take ${formatBytes(most)} on node "${at.node}", and only ${formatBytes(free)} are free where it lies (${at.directory}): make room, name another disk as "journals" in node.yaml, or allow less`,
  ];
}
