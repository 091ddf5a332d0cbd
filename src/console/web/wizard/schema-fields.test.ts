// Every agent that comes with Understudy can be set up in the form.
import { execFileSync } from 'node:child_process';
import { expect, test } from 'vitest';
import { builtins } from '../../../agents/builtin/index.ts';
import { describeAgent } from '../../../agents/host/load-agent.ts';
import { fieldsOf, linesOf, parametersOf, valuesOf } from './schema-fields.ts';

async function fields(name: string) {
  const agent = await builtins.get(name)?.load();
  if (agent === undefined) throw new Error(`there is no agent ${name}`);
  return { agent, fields: fieldsOf(describeAgent(agent).parameters) };
}

test.each([...builtins.keys()])('%s: each parameter has a field with words', async (name) => {
  const { fields: found } = await fields(name);
  const { properties = {} } = describeAgent((await fields(name)).agent).parameters as {
    properties?: object;
  };
  expect(found.map((field) => field.name).toSorted()).toEqual(Object.keys(properties).toSorted());
  for (const field of found) expect([field.name, field.description]).not.toEqual([field.name, '']);
});

test('PostgreSQL: kinds, secrets, presets; what is typed is what the agent takes', async () => {
  const { agent, fields: found } = await fields('postgresql');
  const field = (name: string) => found.find((one) => one.name === name);
  expect(field('password')).toMatchObject({ kind: 'text', isSecret: true, preset: '' });
  expect(field('port')).toMatchObject({ kind: 'number', isRequired: false });
  expect(field('tls')).toMatchObject({
    kind: 'choice',
    choices: ['off', 'require'],
    preset: 'off',
  });
  expect(field('options')).toMatchObject({ kind: 'list' });
  const typed = {
    port: '5433',
    dataDir: '/srv/pg',
    heartbeat: true,
    options: 'work_mem=64MB\n\n fsync=on ',
    login: '',
  };
  const parameters = parametersOf(found, typed);
  expect(parameters).toEqual({
    port: 5433,
    dataDir: '/srv/pg',
    heartbeat: true,
    options: ['work_mem=64MB', 'fsync=on'],
  });
  expect(agent.parameters.safeParse(parameters).success).toBe(true);
  expect(valuesOf(found, parameters)).toEqual({
    port: '5433',
    dataDir: '/srv/pg',
    heartbeat: true,
    options: 'work_mem=64MB\nfsync=on',
  });
});

test('required ones come first; a command is a text, an object is JSON', async () => {
  const { fields: found } = await fields('supervised');
  expect(found[0]).toMatchObject({ name: 'run', isRequired: true, kind: 'text' });
  const parameters = parametersOf(found, { run: '/usr/bin/shop', environment: '{"A":"1"}' });
  expect(parameters).toEqual({ run: '/usr/bin/shop', environment: { A: '1' } });
  expect(parametersOf(found, { environment: '{' })).toEqual({ environment: '{' });
  expect(valuesOf(found, parameters)['environment']).toBe('{"A":"1"}');
});

test('a command that is a list of words means the same as a text for the shell', async () => {
  const { fields: found } = await fields('supervised');
  const run = ['/usr/sbin/nginx', '-g', 'daemon off;', "it's", '', '$HOME', '*'];
  const text = valuesOf(found, { run })['run'];
  expect(text).toBe(String.raw`/usr/sbin/nginx -g 'daemon off;' 'it'\''s' '' '$HOME' '*'`);
  const heard = execFileSync('sh', ['-c', `printf '%s\\n' ${String(text)}`], { encoding: 'utf8' });
  expect(heard.split('\n').slice(0, -1)).toEqual(run);
});

test('a strange schema breaks nothing', () => {
  expect(fieldsOf({})).toEqual([]);
  const [field] = fieldsOf({ properties: { x: { anyOf: [{ type: 'number' }] } } });
  expect(field).toMatchObject({ kind: 'json', description: '', choices: [] });
  expect(parametersOf([], { x: '1' })).toEqual({});
  expect(linesOf(' a \n\nb')).toEqual(['a', 'b']);
});
