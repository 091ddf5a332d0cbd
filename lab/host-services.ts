// Services of a host: started at boot, started again when they end, logged outside the host. A
// keeper (a few lines of shell) per service plays the part of systemd.
import { closeSync, mkdirSync, openSync } from 'node:fs';
import { join } from 'node:path';
import { present } from '../src/core/assert.ts';
import { ControlGroup } from './cgroup.ts';
import { execArguments } from './enter.ts';
import { childrenOf, isAlive, referenceTo } from './process.ts';
import { start, waitUntil } from './run.ts';
import type { HostState, LabState, ServiceSpec } from './state.ts';

/**
 * `$1` is a path to wait for (or empty), the rest the command. A stop signal goes to the command's
 * main process only, which may leave processes of its own behind (systemd: KillMode=process).
 */
const KEEPER = `
condition=$1; shift
child=
trap 'trap "" TERM; [ -z "$child" ] || { kill -TERM "$child" 2>/dev/null; wait "$child"; }; exit 0' TERM
while :; do
  if [ -z "$condition" ] || [ -e "$condition" ]; then
    "$@" & child=$!
    wait "$child" || :
    child=
    echo "keeper: ended, starting again"
  fi
  sleep 0.3 & wait $!
done`;

/** Starts the keeper of a service unless it runs. */
export async function startService(
  lab: LabState,
  host: HostState,
  service: ServiceSpec,
): Promise<void> {
  if (isAlive(host.keepers[service.name] ?? null)) return;
  const directory = join(lab.directory, host.name, 'logs');
  mkdirSync(directory, { recursive: true });
  const log = openSync(join(directory, `${service.name}.log`), 'a');
  const argv = ['sh', '-c', KEEPER, 'keeper', service.condition ?? '', ...service.argv];
  const pid = present(host.init, 'init').pid;
  const group = new ControlGroup(lab.name, host.name);
  const child = start(execArguments({ pid, group, argv, environment: {} }), {
    stdio: ['ignore', log, log],
    detached: true,
  });
  closeSync(log);
  child.unref();
  const wrapper = present(child.pid, 'number of the keeper');
  // The wrapper enters the host and forks: the keeper is its child.
  await waitUntil(() => childrenOf(wrapper).length > 0, 5000, 2);
  const keeper = referenceTo(present(childrenOf(wrapper)[0], `keeper of ${service.name}`));
  host.keepers[service.name] = present(keeper, `keeper of ${service.name}`);
}

/** Ends a service: SIGTERM, and SIGKILL for its main process after `timeoutMs`. */
export async function stopService(host: HostState, name: string, timeoutMs: number): Promise<void> {
  const keeper = host.keepers[name] ?? null;
  delete host.keepers[name];
  if (!isAlive(keeper)) return;
  process.kill(keeper.pid, 'SIGTERM');
  if (await waitUntil(() => !isAlive(keeper), timeoutMs)) return;
  for (const pid of [...childrenOf(keeper.pid), keeper.pid]) process.kill(pid, 'SIGKILL');
  await waitUntil(() => !isAlive(keeper), 1000);
}
