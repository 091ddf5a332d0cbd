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
