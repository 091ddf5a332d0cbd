// Agents for the command line: they are asked without a service.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { AgentPool } from '../agents/agent-pool.ts';
import { AgentCatalog } from '../agents/catalog.ts';
import type { AgentDescription } from '../agents/host/host-protocol.ts';
import { messageOf, UnderstudyError } from '../core/errors.ts';
import { servicePaths } from '../service/service-paths.ts';

/** A pool without a service; its files are removed after. */
export async function withPool<T>(
  env: Readonly<Record<string, string>>,
  work: (pool: AgentPool, catalog: AgentCatalog) => Promise<T>,
): Promise<T> {
  const top = mkdtempSync(join(tmpdir(), 'understudy-agent-'));
  const catalog = new AgentCatalog(servicePaths(process.env).agents);
  const pool = new AgentPool({
    group: 'agent-test',
    catalog,
    logDirectory: top,
    runtimeDirectory: join(top, 'run'),
    env,
    pauseMsMax: 0,
    onTrouble: () => undefined,
  });
  try {
    return await work(pool, catalog);
  } finally {
    pool.close();
    rmSync(top, { recursive: true, force: true });
  }
}

/** What an agent says of itself. Errors: AGENT_UNKNOWN, AGENT_FILE_UNUSABLE. */
export async function described(pool: AgentPool, name: string): Promise<AgentDescription> {
  try {
    return await pool.describe(name);
  } catch (thrown) {
    if (thrown instanceof UnderstudyError) throw thrown;
    throw new UnderstudyError('AGENT_FILE_UNUSABLE', `agent "${name}": ${messageOf(thrown)}`, {
      cause: thrown,
    });
  }
}
