// An etcd from Debian's package on a host of the lab that is neither of the two nodes.
import { NODE } from '../../lab/demo/application.ts';
import type { Lab } from '../../lab/lab.ts';
import { waitUntil } from '../../lab/run.ts';
import { UnderstudyError } from '../../src/core/errors.ts';

export const ETCD_HOST = 'gateway';
const CLIENT_PORT = 2379;
const START_TIMEOUT_MS = 30_000;

/** Starts it and returns its endpoint. It ends with the lab. */
export async function startEtcd(lab: Lab): Promise<string> {
  const host = lab.host(ETCD_HOST);
  const url = `http://${host.address('lan')}:${CLIENT_PORT}`;
  const argv = ['etcd', '--name', 'lab', '--data-dir', '/srv/etcd', '--listen-client-urls', url];
  host.spawn([...argv, '--advertise-client-urls', url, '--log-level', 'warn'], { stdio: 'ignore' });
  const answers = async (): Promise<boolean> => {
    const ask = `fetch('${url}/health').then(({ ok }) => process.exit(ok ? 0 : 1))`;
    return (await host.exec([NODE, '-e', ask], { timeoutMs: 5000 })).code === 0;
  };
  if (await waitUntil(answers, START_TIMEOUT_MS, 200)) return url;
  throw new UnderstudyError('FIELD_ETCD_SILENT', `etcd does not answer on ${url}`);
}
