// The console of a node, on the node's own port: it shows this node and its partner, and whatever else was added to it. Loaded when a
// browser comes for the first time.
import type { NodeService } from '../service/node-service.ts';
import { fingerprintOf } from '../service/identity.ts';
import { buildConsole, type Console } from './console-app.ts';
import { consolePaths } from './console-paths.ts';
import type { FleetNode } from './fleet/fleet.ts';
import { NodeDial } from './nodes/node-dial.ts';

/** Errors: STATE_FILE_INVALID. */
export async function buildNodeConsole(
  service: NodeService,
  env: NodeJS.ProcessEnv,
): Promise<Console> {
  return buildConsole({
    paths: consolePaths(env),
    version: service.version,
    isSecure: true,
    issuer: `Understudy ${service.config.name}`,
    ownNodes: () => ownNodes(service),
  });
}

function ownNodes(service: NodeService): FleetNode[] {
  const { config, identity, paths, peers } = service;
  const own: FleetNode = {
    id: 'self',
    key: 'self',
    dial: () => new NodeDial(config.name, { kind: 'local', socketPath: paths.adminSocket }),
  };
  const { peer } = peers;
  if (peer === undefined) return [own];
  const { name, host, port, certificate } = peer;
  const fingerprint = fingerprintOf(certificate);
  const partner: FleetNode = {
    id: 'peer',
    key: `${host} ${port} ${fingerprint}`,
    // The pair trusts each other by certificate: no token is needed.
    dial: () =>
      new NodeDial(name, {
        kind: 'tls',
        host,
        port,
        fingerprint,
        token: null,
        identity: { certificate: identity.certificate, key: identity.key },
      }),
  };
  return [own, partner];
}
