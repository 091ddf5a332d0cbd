// Real OCF agents of Debian's package resource-agents through the contract, with real applications. All that
// can be played here is in test/agents/ocf-cases.ts; here those that are quick.
import { spawnSync } from 'node:child_process';
import { chmodSync, cpSync, mkdirSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { z } from 'zod';
import { testPlace, type TestPlace } from '../../../test/support/agent-context.ts';
import type { ContractResult } from '../../../test/agents/ocf-contract.ts';
import { loadOcfAgent, ocf } from './ocf-agent.ts';
import { installedOcfAgents } from './run-ocf.ts';

const PROGRAM = resolve(import.meta.dirname, '../../../test/agents/ocf.ts');
const QUICK = ['Dummy', 'IPaddr2', 'symlink', 'pgsql', 'nginx'];

test('agents with their applications: down, up, destroyed, up again, stopped', () => {
  const names = QUICK.map((name) => `heartbeat:${name}`);
  const { stdout } = spawnSync(process.execPath, [PROGRAM, ...names], { encoding: 'utf8' });
  const results = stdout
    .split('\n')
    .filter((line) => line.startsWith('{'))
    .map((line) => JSON.parse(line) as ContractResult);
  expect(results.map(({ agent }) => agent).toSorted()).toEqual(names.toSorted());
  for (const { agent, findings } of results) expect([agent, ...findings]).toEqual([agent]);
});

describe('parameters come from the metadata', () => {
  test('pgsql: described, typed, required', async () => {
    const agent = await loadOcfAgent('ocf:heartbeat:pgsql');
    expect(agent.name).toBe('ocf:heartbeat:pgsql');
    expect(agent.defaults?.startTimeoutMs).toBeGreaterThanOrEqual(60_000);
    const schema = z.toJSONSchema(agent.parameters, { io: 'input' }) as {
      properties: Record<string, { description: string }>;
    };
    expect(schema.properties['pgdata']?.description).toMatch(/default: /);
    expect(agent.parameters.safeParse({ pgport: 5432 }).success).toBe(true);
    expect(agent.parameters.safeParse({ pgport: 'five' }).success).toBe(false);
    expect(agent.parameters.safeParse({ pgprot: 5432 }).success).toBe(false);
  });

  test('every agent of the package describes itself', async () => {
    const names = installedOcfAgents().filter((name) => name.startsWith('heartbeat:'));
    expect(names.length).toBeGreaterThan(80);
    for (const name of ['oracle', 'oralsnr', 'sybaseASE', 'db2', 'mysql', 'exportfs', 'apache']) {
      const agent = await loadOcfAgent(`heartbeat:${name}`);
      const schema = z.toJSONSchema(agent.parameters, { io: 'input' }) as {
        properties: Record<string, object>;
      };
      expect(Object.keys(schema.properties).length).toBeGreaterThan(3);
    }
  });
});

describe('an agent of somebody', () => {
  let place: TestPlace;
  let root = '';
  beforeEach(() => {
    place = testPlace();
    root = join(place.top, 'ocf');
    mkdirSync(join(root, 'resource.d', 'own'), { recursive: true });
  });
  afterEach(() => place[Symbol.dispose]());

  function agent(script: string): void {
    const file = join(root, 'resource.d', 'own', 'app');
    const metadata = `<resource-agent name="app"><parameters>
      <parameter name="size" required="1"><content type="integer"/></parameter>
      <parameter name="label"><content type="string"/></parameter>
      </parameters><actions><action name="start" timeout="5s"/></actions></resource-agent>`;
    writeFileSync(
      file,
      `#!/bin/sh\n[ "$1" = meta-data ] && echo '${metadata}' && exit 0\n${script}\n`,
    );
    chmodSync(file, 0o755);
  }

  const given = (parameters: object) =>
    ocf.parameters.parse({ agent: 'own:app', root, parameters });
  const validate = async (parameters: object): Promise<readonly string[]> =>
    (await ocf.validate?.(given(parameters), place.context())) ?? [];

  test('environment as a cluster manager gives it', async () => {
    agent('env | grep "^OCF_" | sort >&2; exit 0');
    const { state, sentence } = await ocf.probe(
      given({ size: 3, label: 'a b' }),
      place.context({ agent: 'db' }),
    );
    expect(state).toBe('ok');
    // The last lines of what it said.
    expect(sentence).toContain('OCF_ROOT=');
    agent(
      'echo "$OCF_RESKEY_size|$OCF_RESKEY_label|$OCF_RESOURCE_INSTANCE|$OCF_RESKEY_CRM_meta_timeout" >&2; exit 7',
    );
    expect(await ocf.probe(given({ size: 3, label: 'a b' }), place.context())).toMatchObject({
      state: 'stopped',
      sentence: 'own:app: it does not run (7: 3|a b|shop-db|60000)',
    });
  });

  test.each([
    [0, 'ok'],
    [1, 'failed'],
    [2, 'failed'],
    [5, 'failed'],
    [7, 'stopped'],
    [8, 'ok'],
    [9, 'failed'],
    [190, 'degraded'],
    [77, 'failed'],
  ] as const)('exit code %i is %s', async (code, state) => {
    agent(`exit ${code}`);
    expect((await ocf.probe(given({ size: 1 }), place.context())).state).toBe(state);
  });

  test('parameters are checked before anything runs', async () => {
    agent('touch "$0.ran"; exit 0');
    expect(await validate({})).toEqual(['the OCF agent app needs its parameter "size"']);
    expect((await validate({ size: 'big' })).join()).toContain('has to be an integer');
    expect((await validate({ size: 1, colour: 'red' })).join()).toContain(
      'has no parameter "colour": it has size, label',
    );
    expect(await validate({ size: 1 })).toEqual([]);
  });

  test('a start that fails says why; one that hangs ends with its time', async () => {
    agent('echo no licence >&2; exit 5');
    await expect(ocf.start?.(given({ size: 1 }), place.context())).rejects.toThrow(
      /own:app did not start: something that it needs is not installed on this node \(5: no licence\)/,
    );
    agent('sleep 60');
    const from = performance.now();
    const hung = ocf.start?.(given({ size: 1 }), place.context({ timeoutMs: 500 }));
    await expect(hung).rejects.toThrow(/given up/);
    expect(performance.now() - from).toBeLessThan(3000);
  });

  test('one that describes nothing, is not there, or has a bad name', async () => {
    writeFileSync(join(root, 'resource.d', 'own', 'app'), '#!/bin/sh\necho nonsense\n', {
      mode: 0o755,
    });
    expect((await validate({})).join()).toContain('does not describe itself');
    const missing = ocf.parameters.parse({ agent: 'own:gone', root });
    expect((await ocf.validate?.(missing, place.context()))?.join()).toContain(
      'there is no OCF agent',
    );
    const bad = ocf.parameters.parse({ agent: '../etc:passwd', root });
    expect((await ocf.validate?.(bad, place.context()))?.join()).toContain('names no OCF agent');
    cpSync('/bin/true', join(root, 'resource.d', 'own', 'true'));
    expect(installedOcfAgents(root)).toEqual(['own:app', 'own:true']);
  });
});
