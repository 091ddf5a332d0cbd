// Taking a lab down. Believes nothing that was written down: everything that can be left of a lab
// is found by its name, in control groups, in one directory, and in the images of loop devices.
import { join } from 'node:path';
import { ControlGroup, groupsOf, removeLabGroup } from './cgroup.ts';
import { cutDiskPower, releaseLoopDevices } from './disk.ts';
import { abortFuseConnections, fuseConnectionsOf } from './fuse-abort.ts';
import { mountPointsOf } from './process.ts';
import { labDirectory, readState, removeState } from './state.ts';

const GONE_TIMEOUT_MS = 10_000;

/** What could not be removed; both empty when all went well. */
export interface LabLeftovers {
  /** Hosts with processes that cannot be ended. */
  readonly hosts: readonly string[];
  readonly isDiskHeld: boolean;
}

/** Removes everything that belongs to the lab `name`. Fine with none, half of one, or a wreck. */
export async function takeDown(name: string): Promise<LabLeftovers> {
  const directory = readState(name)?.directory ?? labDirectory(name);
  const members = groupsOf(name).map((member) => ({
    member,
    group: new ControlGroup(name, member),
  }));
  // Nobody will look at the disks again: do not wait for them to be written.
  for (const { member, group } of members) {
    for (const pid of group.pids()) {
      const disk = join(`/proc/${pid}/root`, directory, member, 'disk');
      if (isMountedIn(pid, join(directory, member, 'disk')) && cutDiskPower(disk)) break;
    }
  }
  const connections = fuseConnectionsOf(members.flatMap(({ group }) => group.pids()));
  for (const { group } of members) group.kill();
  await abortFuseConnections(connections);
  const hosts: string[] = [];
  for (const { member, group } of members) {
    if (!(await group.remove(GONE_TIMEOUT_MS))) hosts.push(member);
  }
  const isDiskHeld = !(await releaseLoopDevices(directory, GONE_TIMEOUT_MS));
  if (hosts.length === 0 && !isDiskHeld) {
    removeLabGroup(name);
    removeState(name);
  }
  return { hosts, isDiskHeld };
}

/** Without this check the shutdown would hit the machine's own file system. */
function isMountedIn(pid: number, path: string): boolean {
  return mountPointsOf(pid).includes(path);
}
