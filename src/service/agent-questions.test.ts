// What is asked of all agents of a group for a bookmark: none is left behind.
import { expect, test } from 'vitest';
import type { AgentPool } from '../agents/agent-pool.ts';
import { AgentQuestions } from './agent-questions.ts';
import type { GroupDefinition } from './group-definition.ts';

/** Agents `db`, `web`, `mail`, of which `failing` does not do what it is asked for. */
function asked(failing: string): { questions: AgentQuestions; calls: string[] } {
  const calls: string[] = [];
  const agents = ['db', 'web', 'mail'].map((name) => ({ name, startTimeoutMs: 1000 }));
  const definition = { name: 'shop', agents, directories: [], addresses: [] };
  const pool = {
    invoke: async ({ name }: { name: string }, operation: string) => {
      calls.push(`${operation} ${name}`);
      return name === failing
        ? { kind: 'failed', why: 'it is busy', ms: 1 }
        : { kind: 'done', value: null, ms: 1 };
    },
  };
  const questions = new AgentQuestions(
    definition as unknown as GroupDefinition,
    pool as unknown as AgentPool,
    'primary',
  );
  return { questions, calls };
}

test('one that does not quiesce ends it', async () => {
  const { questions, calls } = asked('web');
  await expect(questions.quiesce()).rejects.toMatchObject({
    code: 'AGENT_FAILED',
    message: 'agent "web" of group "shop" did not quiesce: it is busy',
  });
  expect(calls).toEqual(['quiesce mail', 'quiesce web']);
});

test('after one that does not resume the others do all the same', async () => {
  const { questions, calls } = asked('db');
  await expect(questions.resume()).rejects.toMatchObject({
    code: 'AGENT_FAILED',
    message: 'agent "db" of group "shop" did not resume: it is busy',
  });
  expect(calls).toEqual(['resume db', 'resume web', 'resume mail']);
});
