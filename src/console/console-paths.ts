// Where a console keeps its things: `/etc/understudy/console.yaml` and `/var/lib/understudy/console`.
import { join } from 'node:path';

export interface ConsolePaths {
  readonly config: string;
  readonly state: string;
  readonly users: string;
  /** Nodes with their access tokens; mode 0600. */
  readonly nodes: string;
  readonly audit: string;
  readonly certificate: string;
  readonly key: string;
}

/** From the same environment as `servicePaths`. */
export function consolePaths(env: NodeJS.ProcessEnv): ConsolePaths {
  const etc = env['UNDERSTUDY_ETC'] ?? '/etc/understudy';
  const state = join(env['UNDERSTUDY_STATE'] ?? '/var/lib/understudy', 'console');
  return {
    config: join(etc, 'console.yaml'),
    state,
    users: join(state, 'users.json'),
    nodes: join(state, 'nodes.json'),
    audit: join(state, 'audit.jsonl'),
    certificate: join(state, 'certificate.pem'),
    key: join(state, 'key.pem'),
  };
}
