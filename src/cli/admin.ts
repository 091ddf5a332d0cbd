// The command line's way to the service of this node: its API on the Unix socket.
import { type ApiCall, LocalApi } from '../service/admin-api/client.ts';
import type { OperationProgress } from '../service/admin-api/operations.ts';
import { servicePaths } from '../service/service-paths.ts';

/** The API of the service that runs here. */
export function localApi(): LocalApi {
  return new LocalApi(servicePaths(process.env).adminSocket);
}

/** One call. Errors: those of the service, DAEMON_NOT_RUNNING. */
export async function callApi<T>(call: ApiCall): Promise<T> {
  return localApi().call<T>(call);
}

/** An operation, to its end. Errors: those of the operation, DAEMON_NOT_RUNNING. */
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
