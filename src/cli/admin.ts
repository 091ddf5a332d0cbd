// The command line's way to the service of this node: its API on the Unix socket.
import { statSync } from 'node:fs';
import { type ApiCall, LocalApi } from '../service/admin-api/client.ts';
import type { OperationProgress } from '../service/admin-api/operations.ts';
import { notInitialised } from '../service/node-config.ts';
import { servicePaths } from '../service/service-paths.ts';

/** The API of the service that runs here. Errors: NOT_INITIALISED. */
export function localApi(): LocalApi {
  const paths = servicePaths(process.env);
  if (isMissing(paths.adminSocket) && isMissing(paths.nodeConfig)) throw notInitialised(paths);
  return new LocalApi(paths.adminSocket);
}

/** Not so when it cannot be looked at: whoever is not root sees neither. */
function isMissing(path: string): boolean {
  try {
    statSync(path);
    return false;
  } catch (thrown) {
    return (thrown as NodeJS.ErrnoException).code === 'ENOENT';
  }
}

/** One call. Errors: those of the service, DAEMON_NOT_RUNNING, NOT_INITIALISED. */
export async function callApi<T>(call: ApiCall): Promise<T> {
  return localApi().call<T>(call);
}

/** An operation, to its end. Errors: those of the operation, DAEMON_NOT_RUNNING, NOT_INITIALISED. */
export async function runOperation<T>(
  call: ApiCall,
  onProgress?: (progress: OperationProgress) => void,
): Promise<T> {
  return localApi().run<T>(call, onProgress);
}

/** A name as a part of a path, whatever was typed. */
export function segment(name: string): string {
  return encodeURIComponent(name);
}
