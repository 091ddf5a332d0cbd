// The standby's side of the creation of a group. Everything is checked before anything is changed, and on failure
// nothing is left.
import { chmodSync, chownSync, mkdirSync, rmdirSync } from 'node:fs';
import { dirname } from 'node:path';
import { atField, atFieldLater } from '../core/at-field.ts';
import { messageOf, UnderstudyError } from '../core/errors.ts';
import { checkAgents } from './agent-checks.ts';
import { checkName, checkPort, checkStillFree, groupDirectory } from './creation-checks.ts';
import {
  checkDirectory,
  checkOverlap,
  checkPlace,
  entryAt,
  isEmptyDirectory,
  type OccupiedDirectory,
} from './directory-checks.ts';
import { checkFailover } from './failover/creation.ts';
import { initialState } from './group-state.ts';
import type { GroupDefinition } from './group-definition.ts';
import { requireUsable, spaceWarnings } from './journal-place.ts';
import type { CheckReply, Ownership, Role, StandbyRequest } from './node-protocol.ts';
import type { NodeService } from './node-service.ts';

/** The standby's side of the checks before a group is created; changes nothing. */
export async function checkStandby(
  service: NodeService,
  request: StandbyRequest,
): Promise<CheckReply> {
  const { definition } = request;
  atField('name', () => checkName(service, definition.name));
  const occupied = service.occupied();
  for (const [index, directory] of definition.directories.entries()) {
    // The fields are those of the form, which was written on the other node.
    atField(`paths[${index}].standbyDir`, () => checkHere(service, directory, occupied));
    occupied.push(groupDirectory(directory.dir, definition.name));
  }
  await atFieldLater('replication.port', async () =>
    checkPort(service, definition.replicationPort),
  );
  await checkFailover(service, definition);
  await checkAgents(service, definition, 'standby');
  return {
    usedPorts: [...service.usedPorts()],
    warnings: checkJournals(service, definition, 'standby'),
  };
}

/** Errors: JOURNALS_UNUSABLE. Returns what to know about the room there. */
export function checkJournals(
  { config }: NodeService,
  definition: GroupDefinition,
  role: Role,
): string[] {
  const { journals, name: node } = config;
  if (journals === undefined) return [];
  requireUsable(node, journals);
  return spaceWarnings(definition, { node, directory: journals, role });
}

function checkHere(
  service: NodeService,
  { dir, seed }: StandbyRequest['definition']['directories'][number],
  occupied: readonly OccupiedDirectory[],
): void {
  checkOverlap(dir, occupied);
  if (entryAt(dir) === undefined) {
    checkPlace(dir);
    return;
  }
  checkDirectory(dir, []);
  if (seed || isEmptyDirectory(dir)) return;
  const node = service.config.name;
  throw new UnderstudyError(
    'STANDBY_DIRECTORY_NOT_EMPTY',
    `${dir} on node "${node}" has other data in it, which would be replaced: move it away, or pass --seed to use it as a base (equal blocks are not sent again, everything else is overwritten)`,
    { details: { dir, node } },
  );
}

/** Creates the standby of a group here. On failure nothing is left of it. */
export async function createStandby(service: NodeService, request: StandbyRequest): Promise<void> {
  await checkStandby(service, request);
  const { definition, ownership, epoch } = request;
  checkStillFree(service, definition);
  const created: string[] = [];
  try {
    for (const [index, { dir }] of definition.directories.entries()) {
      if (entryAt(dir) !== undefined) continue;
      makeDirectory(dir);
      created.push(dir);
      own(dir, ownership[index]);
    }
    const runtime = service.addGroup(definition, {
      ...initialState('standby', epoch),
      createdDirectories: created,
    });
    try {
      await runtime.exclusive(async () => runtime.startStandby());
      if (runtime.isManaged) await service.failover.add(runtime);
    } catch (thrown) {
      await service.failover.remove(runtime).catch(() => undefined);
      await runtime.exclusive(async () => runtime.stopProcess());
      service.discardGroup(runtime);
      throw thrown;
    }
    runtime.watch();
  } catch (thrown) {
    removeCreated(created);
    throw thrown;
  }
  service.emit('info', 'GROUP_CREATED', `this node is now a standby of "${definition.name}"`, {
    group: definition.name,
  });
}

/** Errors: DIRECTORY_MISSING. */
function makeDirectory(dir: string): void {
  try {
    mkdirSync(dirname(dir), { recursive: true });
    mkdirSync(dir, { mode: 0o700 });
  } catch (cause) {
    throw new UnderstudyError(
      'DIRECTORY_MISSING',
      `${dir} does not exist and cannot be made (${messageOf(cause)}): create it first`,
      { cause, details: { dir } },
    );
  }
}

function own(dir: string, ownership: Ownership | undefined): void {
  if (ownership === undefined) return;
  chownSync(dir, ownership.uid, ownership.gid);
  chmodSync(dir, ownership.mode);
}

/** Removes directories that were made for a group, unless something was put into them. */
export function removeCreated(created: readonly string[]): void {
  for (const dir of created) {
    try {
      rmdirSync(dir);
    } catch {
      // Something was put into it meanwhile: it stays.
    }
  }
}
