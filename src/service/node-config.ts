// `/etc/understudy/node.yaml`: who this node is and where others reach it. Written by `init`, edited
// by people, read at the start of the service.
import { existsSync, readFileSync } from 'node:fs';
import { isIP } from 'node:net';
import { parseDocument, stringify } from 'yaml';
import { z } from 'zod';
import { messageOf, UnderstudyError } from '../core/errors.ts';
import { networksInputSchema } from '../cluster/settings.ts';
import { makePrivateDirectory } from './durable-file.ts';
import { absolutePathSchema, nameSchema, portSchema } from './group-spec.ts';
import type { ServicePaths } from './service-paths.ts';
import { parseStrictly } from '../core/strict-config.ts';
import { replaceFile } from '../journal/replace-file.ts';

export const API_PORT_DEFAULT = 7440;

/** A host name (RFC 1123) or an IP address, without port. */
export const hostSchema = z
  .string()
  .max(253)
  .refine(
    (host) =>
      isIP(host) !== 0 ||
      (/^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$/i.test(host) && !/^[0-9.]+$/.test(host)),
    { error: ({ input }) => `"${String(input)}" is neither a host name nor an IP address` },
  );

export const nodeConfigSchema = z.strictObject({
  /** Unique within the pair. */
  name: nameSchema,
  /** Where the other node reaches this one: API, and replication unless given apart. */
  address: hostSchema,
  port: portSchema.default(API_PORT_DEFAULT),
  /** Another address of this node for the replication stream (a network of its own). */
  replicationAddress: hostSchema.optional(),
  /** Networks that carry heartbeats; default: those of `address` and `replicationAddress`. */
  networks: networksInputSchema.optional(),
  /** What this node does to itself when an application that must end cannot be ended. */
  selfFencing: z.enum(['reboot', 'stop']).optional(),
  /** Limit shared by all groups whose primary is here: a rate or a schedule, see bandwidth-input.ts. */
  bandwidth: z.unknown().optional(),
  /** Where journals, backlogs and undo logs of groups are kept; default: with the rest of their state. */
  journals: absolutePathSchema.optional(),
});
export type NodeConfig = z.infer<typeof nodeConfigSchema>;

/** Reads node.yaml. Errors: NOT_INITIALISED, CONFIG_INVALID. */
export function readNodeConfig(paths: ServicePaths): NodeConfig {
  if (!existsSync(paths.nodeConfig)) throw notInitialised(paths);
  const value = parseYaml(readFileSync(paths.nodeConfig, 'utf8'), paths.nodeConfig);
  return parseStrictly(nodeConfigSchema, value, {
    code: 'CONFIG_INVALID',
    origin: paths.nodeConfig,
  });
}

export function notInitialised({ nodeConfig }: ServicePaths): UnderstudyError {
  return new UnderstudyError(
    'NOT_INITIALISED',
    `${nodeConfig} does not exist: run "understudy init --name NAME --address ADDRESS"`,
  );
}

/** Writes node.yaml. Errors: ALREADY_INITIALISED. */
export function writeNodeConfig(paths: ServicePaths, config: NodeConfig): void {
  if (existsSync(paths.nodeConfig)) {
    throw new UnderstudyError(
      'ALREADY_INITIALISED',
      `${paths.nodeConfig} exists already: edit it and restart the service, or remove it to begin anew`,
    );
  }
  makePrivateDirectory(paths.etc);
  replaceFile(paths.nodeConfig, stringify(config));
}

/** YAML as a plain value, without aliases that could expand. Errors: CONFIG_INVALID. */
export function parseYaml(text: string, origin: string): unknown {
  try {
    const document = parseDocument(text);
    const [fault] = document.errors;
    if (fault?.code === 'MULTIPLE_DOCS') {
      throw new Error('it has several documents, divided by "---": keep one', { cause: fault });
    }
    if (fault !== undefined) throw fault;
    return document.toJS({ maxAliasCount: 0 });
  } catch (cause) {
    const why = messageOf(cause);
    throw new UnderstudyError('CONFIG_INVALID', `${origin} is not valid YAML: ${why}`, { cause });
  }
}
