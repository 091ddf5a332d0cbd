// Checks that both nodes make before a group is created.
import { UnderstudyError } from '../core/errors.ts';
import { tryListen } from '../linux/try-listen.ts';
import { checkOverlap, type OccupiedDirectory } from './directory-checks.ts';
import type { GroupDefinition } from './group-definition.ts';
import { GROUPS_MAX, type NodeService } from './node-service.ts';

/** Errors: GROUP_EXISTS, GROUPS_TOO_MANY. */
export function checkName(service: NodeService, name: string): void {
  if (service.groups.has(name)) {
    throw new UnderstudyError(
      'GROUP_EXISTS',
      `there is a group "${name}" already on node "${service.config.name}": choose another name or delete it`,
    );
  }
  if (service.groups.size >= GROUPS_MAX) {
    throw new UnderstudyError(
      'GROUPS_TOO_MANY',
      `node "${service.config.name}" has ${GROUPS_MAX} groups, which is the limit: put several directories into one group`,
    );
  }
}

/** How a directory of a group appears among the occupied ones. */
export function groupDirectory(dir: string, group: string): OccupiedDirectory {
  return { dir, owner: `group "${group}"`, kind: 'group' };
}

/**
 * Once more, with nothing awaited before it is kept: another group may have been created since the checks.
 * Errors: GROUP_EXISTS, GROUPS_TOO_MANY, DIRECTORY_OVERLAPS_GROUP, PORT_IN_USE.
 */
export function checkStillFree(service: NodeService, definition: GroupDefinition): void {
  const { name, directories, replicationPort } = definition;
  checkName(service, name);
  const occupied = service.occupied();
  for (const { dir } of directories) checkOverlap(dir, occupied);
  if (service.usedPorts().has(replicationPort)) throw portTaken(service, replicationPort);
}

function portTaken({ config: { name } }: NodeService, port: number): UnderstudyError {
  const fault = `port ${port}/tcp is in use on node "${name}"`;
  return new UnderstudyError('PORT_IN_USE', `${fault}: give another one as "replication.port"`, {
    details: { port, node: name, fields: ['replication.port'], faults: [fault] },
  });
}

/** Errors: PORT_IN_USE. */
export async function checkPort(service: NodeService, port: number): Promise<void> {
  const { address, replicationAddress } = service.config;
  if (service.usedPorts().has(port)) throw portTaken(service, port);
  const fault = await tryListen(replicationAddress ?? address, port);
  if (fault?.code === 'EADDRINUSE') throw portTaken(service, port);
}
