// The command line's way to the service of this node: its admin socket.
import { UnderstudyError } from '../core/errors.ts';
import { ControlClient, type ControlParams } from '../service/control-channel.ts';
import { servicePaths } from '../service/service-paths.ts';

/** Switchovers and takeovers may apply a long journal. */
export const LONG_TIMEOUT_MS = 4_000_000;

/** Connects. Errors: DAEMON_NOT_RUNNING. */
export async function connectAdmin(): Promise<ControlClient> {
  const { adminSocket } = servicePaths(process.env);
  try {
    return await ControlClient.connect(adminSocket);
  } catch (cause) {
    throw new UnderstudyError(
      'DAEMON_NOT_RUNNING',
      `the service does not answer on ${adminSocket}: start it with "systemctl start understudyd" or "understudy daemon"`,
      { cause },
    );
  }
}

/** One call on a connection of its own. */
export async function callAdmin<T>(
  method: string,
  params: ControlParams = {},
  timeoutMs = 60_000,
): Promise<T> {
  const client = await connectAdmin();
  try {
    return (await client.call(method, params, timeoutMs)) as T;
  } finally {
    client.close();
  }
}
