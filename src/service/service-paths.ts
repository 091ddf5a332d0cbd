// Where a node keeps its things. The three roots can be moved by the environment, so that several
// nodes can live on one machine (tests, lab).
import { join } from 'node:path';

export interface ServicePaths {
  /** Configuration: `/etc/understudy`. */
  readonly etc: string;
  /** Identity, groups, journals, events: `/var/lib/understudy`. */
  readonly state: string;
  /** Sockets and locks, gone after a reboot: `/run/understudy`. */
  readonly run: string;
  readonly nodeConfig: string;
  readonly adminSocket: string;
  readonly daemonLock: string;
  readonly identity: string;
  readonly certificate: string;
  readonly key: string;
  readonly peers: string;
  readonly invitations: string;
  readonly events: string;
  /** Which events were seen, and by whom. */
  readonly acknowledged: string;
  /** Access tokens of the API, hashed. */
  readonly accessTokens: string;
  readonly audit: string;
  readonly history: string;
  /** Alert channels, with their passwords. */
  readonly alerts: string;
  readonly groups: string;
  readonly logs: string;
  /** Agents of one's own: `/etc/understudy/agents`. */
  readonly agents: string;
  /** Pid files and sockets of agents. */
  readonly agentsRun: string;
  readonly clusterSocket: string;
  readonly clusterLock: string;
  readonly clusterSpec: string;
  readonly clusterLog: string;
}

/** Paths from UNDERSTUDY_ETC, UNDERSTUDY_STATE and UNDERSTUDY_RUN, or the usual places. */
export function servicePaths(env: NodeJS.ProcessEnv): ServicePaths {
  const etc = env['UNDERSTUDY_ETC'] ?? '/etc/understudy';
  const state = env['UNDERSTUDY_STATE'] ?? '/var/lib/understudy';
  const run = env['UNDERSTUDY_RUN'] ?? '/run/understudy';
  return {
    etc,
    state,
    run,
    nodeConfig: join(etc, 'node.yaml'),
    adminSocket: join(run, 'understudyd.sock'),
    daemonLock: join(run, 'understudyd.lock'),
    identity: join(state, 'identity'),
    certificate: join(state, 'identity', 'certificate.pem'),
    key: join(state, 'identity', 'key.pem'),
    peers: join(state, 'peers.json'),
    invitations: join(state, 'invitations.json'),
    events: join(state, 'events.jsonl'),
    acknowledged: join(state, 'acknowledged.json'),
    accessTokens: join(state, 'access-tokens.json'),
    audit: join(state, 'audit.jsonl'),
    history: join(state, 'history.sqlite'),
    alerts: join(state, 'alerts.json'),
    groups: join(state, 'groups'),
    logs: join(state, 'log'),
    agents: join(etc, 'agents'),
    agentsRun: join(run, 'agents'),
    clusterSocket: join(run, 'cluster.sock'),
    clusterLock: join(run, 'cluster.lock'),
    clusterSpec: join(state, 'cluster.json'),
    clusterLog: join(state, 'log', 'cluster.log'),
  };
}

/** Files of one group on this node. */
export interface GroupPaths {
  readonly directory: string;
  readonly definition: string;
  readonly state: string;
  /** What the process is told at its start; not on a disk, which may have failed. */
  readonly spec: string;
  readonly controlSocket: string;
  readonly lock: string;
  readonly log: string;
  /** Memo and life of the group's machine. */
  readonly memo: string;
  /** What is known of the data, whatever the role. */
  readonly marks: string;
  /** What only this node had, kept aside (mirror/salvage/). */
  readonly salvage: string;
  /** Lease cells. */
  readonly lease: string;
  /** What is known of the protected directories. */
  readonly safety: string;
}

export function groupPaths(paths: ServicePaths, group: string): GroupPaths {
  const directory = join(paths.groups, group);
  return {
    directory,
    definition: join(directory, 'definition.json'),
    state: join(directory, 'state.json'),
    spec: join(paths.run, `${group}.spec`),
    controlSocket: join(paths.run, `${group}.sock`),
    lock: join(paths.run, `${group}.lock`),
    log: join(paths.logs, `${group}.log`),
    memo: join(directory, 'failover.json'),
    marks: join(directory, 'marks.json'),
    salvage: join(directory, 'salvage'),
    lease: join(paths.run, `${group}.lease`),
    safety: join(directory, 'directories.json'),
  };
}
