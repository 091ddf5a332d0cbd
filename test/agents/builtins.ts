// What `understudy agent test` says of every built-in agent, in namespaces of its own: `node test/agents/builtins.ts [postgresql …]`
// prints one JSON value per line.
import { randomBytes } from 'node:crypto';
import { chmodSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { AgentPool } from '../../src/agents/agent-pool.ts';
import { AgentCatalog } from '../../src/agents/catalog.ts';
import { ApplicationProcesses } from '../../src/agents/trial/application-processes.ts';
import { Trial, type Verdict } from '../../src/agents/trial/trial.ts';
import { messageOf } from '../../src/core/errors.ts';
import { resolveAgents } from '../../src/service/agent-definition.ts';
import { type BuiltinCase, builtinCases, placeOf, type Prepared } from './builtin-cases.ts';
import { installed } from './installed.ts';
import { isInside } from './inside.ts';

const MARK = { name: 'UNDERSTUDY_AGENT_TEST', value: randomBytes(12).toString('hex') };

export interface BuiltinResult {
  readonly use: string;
  readonly application: string;
  readonly isStandIn: boolean;
  readonly verdicts: readonly Verdict[];
}

async function tried(one: BuiltinCase, top: string): Promise<readonly Verdict[]> {
  process.env[MARK.name] = MARK.value;
  const pool = new AgentPool({
    group: 'agent-test',
    catalog: new AgentCatalog(join(top, 'none')),
    logDirectory: top,
    runtimeDirectory: join(top, 'run-agent'),
    env: { [MARK.name]: MARK.value },
    pauseMsMax: 0,
    onTrouble: (_use, sentence) => console.error(sentence),
  });
  try {
    const prepared = await one.prepare(top, pool.runtimeDirectory(one.use));
    const inputs = [{ use: one.use, ...prepared.parameters }];
    const [agent] = await resolveAgents(inputs, one.use, pool);
    if (agent === undefined) throw new Error(`there is no agent ${one.use}`);
    const command = prepared.processes;
    const trial = new Trial({
      pool,
      agent,
      starts: !agent.watchesOnly,
      isProbed: agent.probeIntervalMs !== null,
      directories: [top],
      addresses: [],
      processes: new ApplicationProcesses({ pool, agent, command, mark: MARK }),
      onVerdict: () => undefined,
    });
    return [...(await trial.run()), ...(await hurt(trial, prepared))];
  } finally {
    pool.close();
  }
}

/** What happens to something else than a process. */
async function hurt(trial: Trial, { accident }: Prepared): Promise<Verdict[]> {
  if (accident === undefined) return [];
  const { title } = accident;
  accident.hurt();
  const seen = await trial.notices(`notices: ${title}`, 'down');
  accident.heal();
  return [seen, await trial.notices(`notices the end of: ${title}`, 'up')];
}

if (isInside(import.meta.filename)) {
  const wanted = process.argv.slice(2);
  const chosen = builtinCases.filter(({ use }) => wanted.length === 0 || wanted.includes(use));
  const cases = installed(chosen, ({ use, needs = [] }) => ({ name: use, needs: [needs].flat() }));
  const top = mkdtempSync(join(tmpdir(), 'understudy-builtins-'));
  chmodSync(top, 0o755);
  for (const one of cases) {
    const { use, application, isStandIn = false } = one;
    const result = { use, application, isStandIn };
    try {
      const place = placeOf(top, use);
      const verdicts = (await tried(one, place)).map((verdict) => ({
        ...verdict,
        sentence: verdict.sentence.replaceAll(place, '…'),
      }));
      console.log(JSON.stringify({ ...result, verdicts } satisfies BuiltinResult));
    } catch (thrown) {
      const failed = { check: 'prepare', verdict: 'failed', sentence: messageOf(thrown), ms: 0 };
      console.log(JSON.stringify({ ...result, verdicts: [failed] }));
    }
  }
  rmSync(top, { recursive: true, force: true });
  // What was left running ends with the namespace.
  process.exit(0);
}
