// A group whose role the nodes of a lab decide themselves: with the lab's gateway as arbiter, a virtual
// address on the network `lan`, and an application that is started, stopped and probed by commands.
import { GATEWAY_NUMBER, interfaceOf } from './network.ts';
import type { Lab } from './lab.ts';

/** Host part of the virtual address in the lab's networks. */
export const VIRTUAL_NUMBER = 200;

export interface CommandAgent {
  readonly start: string;
  readonly stop: string;
  readonly probe: string;
}

export interface ManagedGroup {
  readonly name: string;
  readonly directory: string;
  readonly mode: 'sync' | 'memory' | 'async';
  readonly profile: 'default' | 'fast';
  readonly agent: CommandAgent;
  /** For start and stop of the applications. Default `60s`. */
  readonly agentTimeout?: string;
  /** Further directories with their applications. */
  readonly others?: readonly { readonly directory: string; readonly agent: CommandAgent }[];
  /** Endpoint of an etcd that decides; otherwise the lab's gateway does. */
  readonly etcd?: string | undefined;
}

/** Where clients find the application, wherever it runs. */
export function virtualAddress(lab: Lab): string {
  return lab.freeAddress('lan', VIRTUAL_NUMBER);
}

/** Part of a group's definition: the nodes decide, with the lab's gateway as arbiter. */
export function gatewayFailover(lab: Lab) {
  const gateway = lab.freeAddress('lan', GATEWAY_NUMBER);
  return { automatic: true, arbiter: 'gateway', gateway } as const;
}

/** What `understudy group create --file -` reads (JSON is YAML). */
export function managedGroupYaml(lab: Lab, group: ManagedGroup): string {
  const parts = [group, ...(group.others ?? [])];
  const agents = parts.map(({ agent }, index) => ({
    use: 'command',
    name: index === 0 ? group.name : `${group.name}-${index + 1}`,
    ...agent,
    probeInterval: '500ms',
    timeout: group.agentTimeout ?? '60s',
  }));
  return JSON.stringify({
    name: group.name,
    paths: parts.map(({ directory }) => ({ dir: directory })),
    replication: { mode: group.mode },
    addresses: [{ ip: `${virtualAddress(lab)}/24`, interface: interfaceOf('lan') }],
    agents,
    failover: {
      ...(group.etcd === undefined
        ? gatewayFailover(lab)
        : { automatic: true, arbiter: 'etcd', etcd: { endpoints: [group.etcd] } }),
      profile: group.profile,
    },
  });
}
