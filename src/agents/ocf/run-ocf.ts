// Runs an OCF resource agent (/usr/lib/ocf/resource.d/PROVIDER/TYPE) as a cluster manager would:
// parameters as OCF_RESKEY_*, the action as its argument.
import { accessSync, constants, existsSync, readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import type { AgentContext } from '../agent.ts';
import { run, type RunResult } from '../sdk/run.ts';
import { type OcfMetadata, parseOcfMetadata } from './metadata.ts';

export const OCF_ROOT = '/usr/lib/ocf';
const NAME = /^[A-Za-z0-9][A-Za-z0-9_.-]*$/;
const METADATA_TIMEOUT_MS = 20_000;

/** An agent of this machine: `heartbeat:pgsql`. */
export interface OcfName {
  readonly provider: string;
  readonly type: string;
  readonly root: string;
}

/** Errors: not of the form PROVIDER:TYPE. */
export function ocfName(written: string, root = OCF_ROOT): OcfName {
  const [provider = '', type = '', ...rest] = written.replace(/^ocf:/, '').split(':');
  if (rest.length === 0 && NAME.test(provider) && NAME.test(type)) return { provider, type, root };
  throw new Error(`"${written}" names no OCF agent: write for example "heartbeat:pgsql"`);
}

export function ocfFile({ root, provider, type }: OcfName): string {
  return join(root, 'resource.d', provider, type);
}

/** Errors: it is not installed here. */
export function checkInstalled(name: OcfName): void {
  const file = ocfFile(name);
  try {
    accessSync(file, constants.X_OK);
  } catch (cause) {
    const all = join(name.root, 'resource.d', name.provider);
    const how = existsSync(all)
      ? `"ls ${all}" shows those that are`
      : 'install it (Debian: apt-get install resource-agents)';
    throw new Error(`there is no OCF agent ${file} on this node: ${how}`, { cause });
  }
}

/** All agents that are installed, as `heartbeat:pgsql`. */
export function installedOcfAgents(root = OCF_ROOT): string[] {
  const top = join(root, 'resource.d');
  if (!existsSync(top)) return [];
  return readdirSync(top)
    .filter((provider) => statSync(join(top, provider)).isDirectory())
    .flatMap((provider) =>
      readdirSync(join(top, provider))
        .filter((type) => NAME.test(type) && isProgram(join(top, provider, type)))
        .map((type) => `${provider}:${type}`),
    )
    .toSorted();
}

function isProgram(path: string): boolean {
  const status = statSync(path, { throwIfNoEntry: false });
  return status?.isFile() === true && (status.mode & 0o111) !== 0;
}

const known = new Map<string, { readonly changedMs: number; readonly metadata: OcfMetadata }>();

/** What the agent says about itself; asked again when its file has changed. Errors: not there, no metadata. */
export async function ocfMetadata(name: OcfName, signal: AbortSignal): Promise<OcfMetadata> {
  checkInstalled(name);
  const file = ocfFile(name);
  const changedMs = statSync(file).mtimeMs;
  const before = known.get(file);
  if (before !== undefined && before.changedMs === changedMs) return before.metadata;
  const result = await run([file, 'meta-data'], {
    context: { signal },
    timeoutMs: METADATA_TIMEOUT_MS,
    env: ocfEnvironment(name, 'meta-data'),
  });
  const metadata = parseOcfMetadata(result.stdout);
  if (metadata === undefined) {
    throw new Error(
      `${file} does not describe itself: "${file} meta-data" gives no metadata of an OCF agent`,
    );
  }
  known.set(file, { changedMs, metadata });
  return metadata;
}

export interface OcfCall {
  readonly name: OcfName;
  readonly parameters: Readonly<Record<string, string | number | boolean>>;
  /** 0: as shallow as the agent has it; 10 and 20 look deeper. */
  readonly checkLevel?: number;
  readonly timeoutMs: number;
}

/** Runs one action. Errors: as {@link run}. */
export async function runOcf(
  action: string,
  { name, parameters, checkLevel = 0, timeoutMs }: OcfCall,
  context: AgentContext,
): Promise<RunResult> {
  checkInstalled(name);
  const given = Object.entries(parameters).map(([key, value]) => [
    `OCF_RESKEY_${key}`,
    String(value),
  ]);
  return await run([ocfFile(name), action], {
    context,
    env: {
      ...ocfEnvironment(name, action),
      ...(Object.fromEntries(given) as Record<string, string>),
      OCF_RESOURCE_INSTANCE: `${context.group}-${context.agent}`.replaceAll(
        /[^A-Za-z0-9_.-]/g,
        '_',
      ),
      OCF_CHECK_LEVEL: String(checkLevel),
      OCF_RESKEY_CRM_meta_timeout: String(timeoutMs),
      // Zero would mean "is it here by chance?", at which agents are lenient.
      OCF_RESKEY_CRM_meta_interval: action === 'monitor' ? '10000' : '0',
      UNDERSTUDY_GROUP: context.group,
    },
  });
}

function ocfEnvironment({ root, provider, type }: OcfName, action: string): Record<string, string> {
  return {
    OCF_ROOT: root,
    OCF_RA_VERSION_MAJOR: '1',
    OCF_RA_VERSION_MINOR: '1',
    OCF_RESOURCE_TYPE: type,
    OCF_RESOURCE_PROVIDER: provider,
    OCF_RESOURCE_INSTANCE: 'understudy',
    OCF_RESKEY_CRM_meta_name: action,
    // The agent's words come back to us, not into the system log.
    HA_LOGFACILITY: 'none',
    HA_LOGTAG: 'understudy',
    LANG: 'C',
    LC_ALL: 'C',
    PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin',
  };
}
