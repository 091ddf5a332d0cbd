import { expect, test } from 'vitest';
import { HIDDEN, withSecretsHidden } from './hidden-secrets.ts';

test('secrets are hidden at any depth, the files that hold them are named', () => {
  const definition = {
    name: 'shop',
    agents: [
      {
        use: 'postgresql',
        parameters: { password: 'p1', passwordFile: '/root/pg', port: 5432, replicaPassword: 'p2' },
      },
    ],
    fencing: { devices: [{ options: { passwd: 'p3', ip: '192.0.2.1' } }] },
    failover: null,
  };
  const shown = withSecretsHidden(definition);
  for (const secret of ['p1', 'p2', 'p3']) expect(JSON.stringify(shown)).not.toContain(secret);
  expect(shown.agents[0]?.parameters).toEqual({
    password: HIDDEN,
    passwordFile: '/root/pg',
    port: 5432,
    replicaPassword: HIDDEN,
  });
  expect(shown.fencing.devices).toEqual([{ options: { passwd: HIDDEN, ip: '192.0.2.1' } }]);
  expect(definition.agents[0]?.parameters.password).toBe('p1');
});

test('also as numbers, in headers, and in addresses within any text', () => {
  const shown = withSecretsHidden({
    options: { passwd: 4711, port: 4711, community: 'p1' },
    headers: { Authorization: 'Bearer p2', Cookie: 'p3', Host: 'shop' },
    url: 'http://ann:p4@127.0.0.1:8080/health?at=1',
    probe: 'curl -fs https://ann:p5@127.0.0.1/ && mail -s x a@b.example',
    environment: { AWS_SECRET_ACCESS_KEY: 'p6', API_KEY: 'p7', KEY_FILE: '/root/key' },
    tls: { key: '/etc/ssl/private/key.pem' },
    isToken: true,
  });
  expect(JSON.stringify(shown)).not.toMatch(/p[1-7]/);
  expect(shown).toMatchObject({
    options: { passwd: HIDDEN, port: 4711 },
    headers: { Host: 'shop' },
    url: 'http://(hidden)@127.0.0.1:8080/health?at=1',
    probe: 'curl -fs https://(hidden)@127.0.0.1/ && mail -s x a@b.example',
    environment: { KEY_FILE: '/root/key' },
    tls: { key: '/etc/ssl/private/key.pem' },
    isToken: true,
  });
});
