// What holds for every built-in agent: it can be loaded, describes each of its parameters, and the page in
// docs/agents.md has it.
import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { describe, expect, test } from 'vitest';
import { z } from 'zod';
import { builtins } from './index.ts';

interface ParameterSchema {
  readonly description?: string;
}

interface ObjectSchema {
  readonly properties?: Readonly<Record<string, ParameterSchema>>;
  readonly additionalProperties?: boolean;
}

/** What stands beside the parameters in a group (service/agent-definition.ts). */
const COMMON_KEYS =
  'use name after restarts timeout startTimeout stopTimeout probeInterval probeTimeout'.split(' ');

const page = readFileSync(resolve(import.meta.dirname, '../../../docs/agents.md'), 'utf8');

describe.each([...builtins])('%s', (name, builtin) => {
  test('has its name, a title and a description', async () => {
    const agent = await builtin.load();
    expect(agent.name).toBe(name);
    expect(agent.title.length).toBeGreaterThan(2);
    expect(agent.description.length).toBeGreaterThan(20);
  });

  test('describes each parameter in a form can be made of', async () => {
    const agent = await builtin.load();
    const schema = z.toJSONSchema(agent.parameters, { io: 'input' }) as ObjectSchema;
    const properties = Object.entries(schema.properties ?? {});
    expect(properties.length).toBeGreaterThan(0);
    const silent = properties.filter(([, { description = '' }]) => description.length < 5);
    expect(silent.map(([parameter]) => parameter)).toEqual([]);
    // A key that was misspelt is an error, not a default.
    expect(schema.additionalProperties).toBe(false);
  });

  test('leaves the keys of every agent alone', async () => {
    const agent = await builtin.load();
    const schema = z.toJSONSchema(agent.parameters, { io: 'input' }) as ObjectSchema;
    const taken = Object.keys(schema.properties ?? {}).filter((key) => COMMON_KEYS.includes(key));
    expect(taken).toEqual([]);
  });

  test('refuses parameters of a wrong type', async () => {
    const agent = await builtin.load();
    expect(agent.parameters.safeParse({ nonsense: true }).success).toBe(false);
    expect(agent.parameters.safeParse('x').success).toBe(false);
  });

  test('has a row in docs/agents.md', () => {
    expect(page).toContain(`| \`${name}\` |`);
  });
});
