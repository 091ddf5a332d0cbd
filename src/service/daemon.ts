// Composition root of understudyd: node service, node API, admin API.
import { join } from 'node:path';
import { systemClock } from '../core/clock.ts';
import { endLeftHosts } from '../agents/host/agent-host.ts';
import { messageOf, UnderstudyError } from '../core/errors.ts';
import { keepMemorySmall } from '../linux/idle-memory.ts';
import { buildAdminApi } from './admin-api/server.ts';
import { makePrivateDirectory } from './durable-file.ts';
import type { GroupPrograms } from './group-process.ts';
import { buildNodeApi } from './node-api.ts';
import { type LoadedConsole, People } from './people.ts';
import { installedVersion } from './installation.ts';
import { NodeService } from './node-service.ts';
import { lockOwner, tryLock } from './process-lock.ts';
import type { ServicePaths } from './service-paths.ts';

/** The group processes of this installation. */
export const programs: GroupPrograms = {
  primary: join(import.meta.dirname, 'primary-main.ts'),
  standby: join(import.meta.dirname, 'standby-main.ts'),
};

/** Builds the console when a browser comes for the first time: an idle node spares its memory. */
export type ConsoleLoader = (service: NodeService) => Promise<LoadedConsole>;

export interface Daemon {
  readonly service: NodeService;
  /** Stops the service; group processes go on. */
  readonly stop: () => Promise<void>;
}

/** Starts the service. Errors: DAEMON_RUNNING, NOT_INITIALISED, API_PORT_UNAVAILABLE, … */
export async function startDaemon(
  paths: ServicePaths,
  groupPrograms: GroupPrograms = programs,
  loadConsole?: ConsoleLoader,
): Promise<Daemon> {
  makePrivateDirectory(paths.run);
  const lock = tryLock(paths.daemonLock);
  if (lock === undefined) {
    throw new UnderstudyError(
      'DAEMON_RUNNING',
      `understudyd runs already (pid ${lockOwner(paths.daemonLock) ?? '?'})`,
    );
  }
  lock.note(process.pid);
  endLeftHosts(paths.logs);
  const options = { paths, programs: groupPrograms, version: installedVersion() };
  const service = new NodeService(options, { clock: systemClock });
  const adminApi = await buildAdminApi(service);
  const people = new People(adminApi.serve, async () => loadConsole?.(service));
  const nodeApi = buildNodeApi(service, people.serve);
  const { address, port } = service.config;
  try {
    await nodeApi.listen({ host: address, port });
  } catch (cause) {
    lock.release();
    throw new UnderstudyError(
      'API_PORT_UNAVAILABLE',
      `cannot listen on ${address}:${port} (${messageOf(cause)}): correct "address" and "port" in ${paths.nodeConfig}`,
      { cause },
    );
  }
  try {
    await adminApi.listen();
  } catch (thrown) {
    // With the port open it would live on, and do nothing.
    await nodeApi.close();
    lock.release();
    throw thrown;
  }
  keepMemorySmall();
  service.emit('info', 'SERVICE_STARTED', `understudyd ${options.version} started`);
  service.start();
  return {
    service,
    stop: async () => {
      await adminApi.close();
      await nodeApi.close();
      await people.close();
      await service.stop();
      lock.release();
    },
  };
}
