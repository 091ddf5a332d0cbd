// What the routes of a console work with.
import { systemClock } from '../core/clock.ts';
import { AuditLog } from '../service/admin-api/audit.ts';
import { makePrivateDirectory } from '../service/durable-file.ts';
import { Login } from './access/login.ts';
import { PasswordHasher } from './access/passwords.ts';
import { Sessions } from './access/sessions.ts';
import { UserStore } from './access/users.ts';
import type { ConsolePaths } from './console-paths.ts';
import { Fleet, type FleetNode } from './fleet/fleet.ts';
import { NodeDial } from './nodes/node-dial.ts';
import { type KnownNode, NodeStore } from './nodes/node-store.ts';

export interface ConsoleContext {
  readonly version: string;
  readonly users: UserStore;
  readonly hasher: PasswordHasher;
  readonly sessions: Sessions;
  readonly login: Login;
  readonly nodes: NodeStore;
  readonly fleet: Fleet;
  readonly audit: AuditLog;
  /** The name in authenticator apps. */
  readonly issuer: string;
  /** Cookies are for TLS only; false on the loopback address without TLS. */
  readonly isSecure: boolean;
}

export interface ConsoleOptions {
  readonly paths: ConsolePaths;
  readonly version: string;
  readonly isSecure: boolean;
  readonly issuer: string;
  /** Nodes that it has besides those that were added: its own machine and the partner. */
  readonly ownNodes: () => readonly FleetNode[];
}

/** Errors: STATE_FILE_INVALID. */
export function makeConsoleContext(options: ConsoleOptions): ConsoleContext {
  const { paths, version, isSecure, issuer, ownNodes } = options;
  makePrivateDirectory(paths.state);
  const users = new UserStore(paths.users);
  const hasher = new PasswordHasher();
  const nodes = new NodeStore(paths.nodes);
  const audit = new AuditLog(paths.audit);
  // A version before wrote down passwords that were replaced.
  audit.clean();
  return {
    version,
    users,
    hasher,
    sessions: new Sessions(systemClock.monotonicMs),
    login: new Login(users, hasher, systemClock),
    nodes,
    fleet: new Fleet(() => [...ownNodes(), ...nodes.all.map(fleetNode)]),
    audit,
    issuer,
    isSecure,
  };
}

function fleetNode({ id, name, host, port, fingerprint, token }: KnownNode): FleetNode {
  return {
    id,
    key: `${host} ${port} ${fingerprint} ${token}`,
    dial: () => new NodeDial(name, { kind: 'tls', host, port, fingerprint, token }),
  };
}
