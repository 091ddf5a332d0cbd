// The contract of an agent, played with one OCF agent and its real application: seen when it is down, started,
// seen, started again, destroyed, seen, started, stopped, stopped again; nothing left.
import { chmodSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { messageOf } from '../../src/core/errors.ts';
import type { AgentContext } from '../../src/agents/agent.ts';
import { loadOcfAgent } from '../../src/agents/ocf/ocf-agent.ts';
import type { OcfCase } from './ocf-cases.ts';

const TIMEOUT_MS = 60_000;
const NOTICE_TIMEOUT_MS = 5000;

export interface ContractResult {
  readonly agent: string;
  /** Its application is a stand-in. */
  readonly isStandIn?: boolean;
  /** Of the agent's metadata. */
  readonly parameters: number;
  readonly startMs: number;
  readonly monitorMs: number;
  readonly stopMs: number;
  /** What the monitor said after the application had been destroyed. */
  readonly afterKill: string;
  /** What is not as it should be. */
  readonly findings: readonly string[];
}

export async function playContract(play: OcfCase): Promise<ContractResult> {
  const top = mkdtempSync(join(tmpdir(), 'understudy-ocf-'));
  chmodSync(top, 0o755);
  mkdirSync(join(top, 'run-agent'));
  const findings: string[] = [];
  const times = { startMs: 0, monitorMs: 0, stopMs: 0 };
  let afterKill = '-';
  const agent = await loadOcfAgent(play.agent);
  const given = agent.parameters.parse(play.prepare(top));
  const context = (): AgentContext => ({
    group: 'ocf',
    agent: 'test',
    role: 'primary',
    directories: [top],
    addresses: [],
    runtimeDirectory: join(top, 'run-agent'),
    logFile: join(top, 'agent.log'),
    signal: AbortSignal.timeout(TIMEOUT_MS),
    operation: 'probe',
    log: () => undefined,
  });
  const expectState = async (when: string, wanted: readonly string[]): Promise<string> => {
    const { state, sentence } = await agent.probe(given, context());
    if (!wanted.includes(state)) findings.push(`${when}: ${state}, "${sentence}"`);
    return `${state}: ${sentence.replace(/^[^:]*:[^:]*: /, '').replaceAll(top, '…')}`;
  };
  try {
    findings.push(...((await agent.validate?.(given, context())) ?? []));
    await expectState('before the start', ['stopped']);
    times.startMs = await timed(() => agent.start?.(given, context()));
    times.monitorMs = await timed(() => expectState('after the start', ['ok']));
    await agent.start?.(given, context());
    await expectState('after a second start', ['ok']);
    if (play.kill !== undefined) {
      play.kill(top);
      await noticed(async () => (await agent.probe(given, context())).state !== 'ok');
      afterKill = await expectState('after it was destroyed', play.afterKill ?? ['stopped']);
      await agent.stop?.(given, context());
      await agent.start?.(given, context());
      await expectState('started after that', ['ok']);
    }
    times.stopMs = await timed(() => agent.stop?.(given, context()));
    await expectState('after the stop', ['stopped']);
    await agent.stop?.(given, context());
    await expectState('after a second stop', ['stopped']);
  } catch (failure) {
    findings.push(messageOf(failure));
    await agent.stop?.(given, context()).catch(() => undefined);
    tryKill(play, top);
  } finally {
    rmSync(top, { recursive: true, force: true });
  }
  const parameters = Object.keys((agent.parameters as { shape?: object }).shape ?? {}).length;
  const { isStandIn = false } = play;
  return { agent: play.agent, isStandIn, parameters, ...times, afterKill, findings };
}

async function timed(action: () => Promise<unknown> | undefined): Promise<number> {
  const from = performance.now();
  await action();
  return Math.round(performance.now() - from);
}

function tryKill({ kill }: OcfCase, top: string): void {
  try {
    kill?.(top);
  } catch {
    // There is nothing left to destroy.
  }
}

async function noticed(look: () => Promise<boolean>): Promise<void> {
  const deadline = performance.now() + NOTICE_TIMEOUT_MS;
  while (!(await look()) && performance.now() < deadline) await sleep(50);
}
