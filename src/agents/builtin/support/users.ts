// Which user of this machine an application runs as.
import { statSync } from 'node:fs';
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';

const run = promisify(execFile);
const LOOKUP_TIMEOUT_MS = 5000;

export interface SystemUser {
  readonly name: string;
  readonly uid: number;
  readonly gid: number;
  readonly home: string;
}

/** The user of that name or number, from whatever this machine asks for users (NSS). */
export async function systemUser(nameOrId: string): Promise<SystemUser> {
  let entry: string;
  try {
    entry = (await run('getent', ['passwd', nameOrId], { timeout: LOOKUP_TIMEOUT_MS })).stdout;
  } catch (cause) {
    throw new Error(
      `there is no user "${nameOrId}" on this node: create it with the same number as on the other node`,
      { cause },
    );
  }
  const [name = '', , uid = '', gid = '', , home = '/'] = entry.trim().split(':');
  return { name, uid: Number(uid), gid: Number(gid), home };
}

/** Whoever a directory belongs to. */
export async function ownerOf(directory: string): Promise<SystemUser> {
  return await systemUser(String(statSync(directory).uid));
}
