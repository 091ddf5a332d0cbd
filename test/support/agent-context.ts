// What an agent is told about where it runs, for tests: with a time limit and directories that vanish.
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { AgentContext } from '../../src/agents/agent.ts';

export interface TestPlace extends Disposable {
  readonly top: string;
  /** What the agent logged. */
  readonly lines: string[];
  context(options?: Partial<AgentContext> & { readonly timeoutMs?: number }): AgentContext;
}

/** A place of its own for one test. */
export function testPlace(): TestPlace {
  const top = mkdtempSync(join(tmpdir(), 'understudy-agent-'));
  const runtimeDirectory = join(top, 'run');
  mkdirSync(runtimeDirectory);
  const lines: string[] = [];
  return {
    top,
    lines,
    context: ({ timeoutMs = 10_000, ...given } = {}) => ({
      group: 'shop',
      agent: 'db',
      role: 'primary',
      directories: [join(top, 'data')],
      addresses: [],
      runtimeDirectory,
      logFile: join(top, 'log'),
      operation: 'test',
      signal: AbortSignal.timeout(timeoutMs),
      log: (line) => void lines.push(line),
      ...given,
    }),
    [Symbol.dispose]: () => rmSync(top, { recursive: true, force: true }),
  };
}
