// Files written by people: each fault is named, with the way out.
import { X509Certificate } from 'node:crypto';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { z } from 'zod';
import { readJsonFile, writeJsonDurably } from './durable-file.ts';
import { defineGroup, mirroredDefinition, parseGroupInput } from './group-definition.ts';
import { parseSpec } from './group-spec.ts';
import { createIdentity, nodeIdOf, readIdentity } from './identity.ts';
import { parseYaml, readNodeConfig, writeNodeConfig } from './node-config.ts';
import { servicePaths, type ServicePaths } from './service-paths.ts';

let top = '';
let paths: ServicePaths;

beforeEach(() => {
  top = mkdtempSync(join(tmpdir(), 'understudy-config-'));
  paths = servicePaths({
    UNDERSTUDY_ETC: join(top, 'etc'),
    UNDERSTUDY_STATE: join(top, 'state'),
    UNDERSTUDY_RUN: join(top, 'run'),
  });
});
afterEach(() => rmSync(top, { recursive: true }));

function nodeYaml(text: string): void {
  mkdirSync(paths.etc, { recursive: true });
  writeFileSync(paths.nodeConfig, text);
}

describe('node.yaml', () => {
  test('what init writes is read again, with defaults', () => {
    writeNodeConfig(paths, { name: 'a', address: '192.0.2.1', port: 7440 });
    expect(readNodeConfig(paths)).toEqual({ name: 'a', address: '192.0.2.1', port: 7440 });
    expect(() => writeNodeConfig(paths, { name: 'b', address: '192.0.2.1', port: 7440 })).toThrow(
      /exists already/,
    );
    nodeYaml('name: a\naddress: db1.example.net\n');
    expect(readNodeConfig(paths).port).toBe(7440);
  });

  test.each([
    ['', /expected object/],
    ['name: a\naddress: 192.0.2.1\nadress: x\n', /unknown key "adress" \(allowed: name, address/],
    ['name: A_B\naddress: 192.0.2.1\n', /"A_B" is no name: lower-case letters.* in "name"/],
    ['name: a\n---\nname: b\n', /several documents, divided by "---": keep one/],
    ['name: a\n', /"address" is missing/],
    ['name: a\naddress: "not a host"\n', /neither a host name nor an IP address in "address"/],
    ['name: a\naddress: 192.0.2.256\n', /neither a host name nor an IP address in "address"/],
    ['name: a\naddress: 192.0.2.1\nport: 99999\n', /in "port"/],
    ['name: [a\n', /not valid YAML/],
    ['name: a\nname: b\naddress: 192.0.2.1\n', /not valid YAML/],
  ])('%j', (text, message) => {
    nodeYaml(text);
    expect(() => readNodeConfig(paths)).toThrow(message);
    expect(() => readNodeConfig(paths)).toThrow(paths.nodeConfig);
  });

  test('without it: run init', () => {
    expect(() => readNodeConfig(paths)).toThrow(/understudy init/);
  });

  test('YAML aliases cannot be used to blow up memory', () => {
    expect(() => parseYaml('a: &a [1]\nb: [*a, *a]\n', 'x.yaml')).toThrow(/x\.yaml is not valid/);
  });
});

describe('identity', () => {
  test('is made once, private, and named after the public key', async () => {
    const first = await createIdentity(paths, 'a');
    const second = await createIdentity(paths, 'a');
    expect(second).toEqual(first);
    expect(first.id).toMatch(/^[0-9a-f]{16}$/);
    expect(nodeIdOf(first.certificate)).toBe(first.id);
    expect(statSync(paths.key).mode & 0o777).toBe(0o600);
    expect(statSync(paths.identity).mode & 0o777).toBe(0o700);
  });

  test('is for a name that programs can check, as docs/metrics.md has it for Prometheus', async () => {
    const { certificate } = await createIdentity(paths, 'a');
    const page = readFileSync(resolve(import.meta.dirname, '../../docs/metrics.md'), 'utf8');
    const [, name = ''] = /server_name: (\w+)/.exec(page) ?? [];
    expect(new X509Certificate(certificate).checkHost(name)).toBe('understudy');
  });

  test('a key that does not belong to the certificate is refused', async () => {
    await createIdentity(paths, 'a');
    const other = servicePaths({ UNDERSTUDY_STATE: join(top, 'other') });
    const { key } = await createIdentity(other, 'b');
    writeFileSync(paths.key, key);
    expect(() => readIdentity(paths)).toThrow(/cannot be used/);
  });
});

describe('state files', () => {
  const schema = z.strictObject({ a: z.int() });

  test('are written privately and read again', () => {
    mkdirSync(paths.state);
    const file = join(paths.state, 'x.json');
    writeJsonDurably(file, { a: 1 });
    expect(readJsonFile(file, schema)).toEqual({ a: 1 });
    expect(statSync(file).mode & 0o777).toBe(0o600);
    expect(readJsonFile(join(paths.state, 'none'), schema)).toBeUndefined();
  });

  test.each([['{"a":'], ['{"a":"x"}'], ['{"a":1,"b":2}'], ['']])('%j is a named fault', (text) => {
    const file = join(top, 'x.json');
    writeFileSync(file, text);
    expect(() => readJsonFile(file, schema)).toThrow(/x\.json cannot be used: .* Restore it/s);
  });
});

describe('a group in YAML', () => {
  const text = `
name: shop
paths:
  - dir: /srv/shop
    include: ["**/*.db"]
    exclude: ["*.tmp", "cache/**"]
  - dir: /srv/mail
    standbyDir: /data/mail
replication: { mode: memory, syncTimeout: 500ms, onStandbyLoss: block, ring: 8 MiB, port: 7999 }
addresses: []
failover: { automatic: false }
`;

  test('becomes a definition with defaults, which the other node sees from its side', () => {
    const input = parseGroupInput(parseYaml(text, 'g.yaml'), 'g.yaml');
    const options = { peerId: 'ab'.repeat(8), port: 7441, origin: 'g.yaml', agents: [] };
    const definition = defineGroup(input, options);
    expect(definition).toMatchObject({
      name: 'shop',
      replicationPort: 7999,
      directories: [
        { dir: '/srv/shop', peerDir: '/srv/shop', include: ['**/*.db'], seed: false },
        { dir: '/srv/mail', peerDir: '/data/mail', include: ['**'], exclude: [] },
      ],
      replication: {
        mode: 'memory',
        syncTimeoutMs: 500,
        onStandbyLoss: 'block',
        ringBytes: 8 * 1024 * 1024,
      },
    });
    const mirrored = mirroredDefinition(definition, 'cd'.repeat(8));
    expect(mirrored.peerId).toBe('cd'.repeat(8));
    expect(mirrored.directories[1]).toMatchObject({ dir: '/data/mail', peerDir: '/srv/mail' });
    expect(mirroredDefinition(mirrored, definition.peerId)).toEqual(definition);
  });

  test.each([
    ['name: shop\n', /"paths" is missing/],
    ['name: shop\npaths: []\n', /in "paths"/],
    ['name: shop\npaths: [{ dir: /a, inclde: [x] }]\n', /"inclde" in "paths\[0\]" \(allowed: dir/],
    [
      'name: shop\npaths: [{ dir: /a }]\nreplication: { ring: 5 MiB }\n',
      /power of two in "replication.ring"/,
    ],
    [
      'name: shop\npaths: [{ dir: /a }]\nreplication: { journal: 1 MiB }\n',
      /in "replication.journal"/,
    ],
    ['name: shop\npaths: [{ dir: /a }]\nreplication: { ring: lots }\n', /"lots" is not a size/],
  ])('%j', (yaml, message) => {
    const parse = (): unknown =>
      defineGroup(parseGroupInput(parseYaml(yaml, 'g.yaml'), 'g.yaml'), {
        peerId: 'ab'.repeat(8),
        port: 7441,
        origin: 'g.yaml',
        agents: [],
      });
    expect(parse).toThrow(message);
  });
});

test('a specification that no group process could use is refused with its first fault', () => {
  expect(() => parseSpec({ group: 'shop' }, 'spec.json')).toThrow(/spec\.json is not a group/);
});
