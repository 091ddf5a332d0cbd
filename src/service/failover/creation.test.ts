// What is checked before a managed group is created.
import { expect, test } from 'vitest';
import { defineGroup, parseGroupInput } from '../group-definition.ts';
import type { NodeService } from '../node-service.ts';
import { checkFailover } from './creation.ts';
import { resolveGroup } from './group-settings.ts';

const [a, b] = [
  { id: 'aaaaaaaaaaaaaaaa', name: 'a' },
  { id: 'bbbbbbbbbbbbbbbb', name: 'b' },
] as const;

async function check(watchdog: string): Promise<unknown> {
  const failover = { arbiter: 'none' };
  const input = { name: 'shop', paths: [{ dir: '/srv/shop' }], failover, fencing: { watchdog } };
  const given = { peerId: b.id, port: 7441, origin: 'test', agents: [] };
  const definition = defineGroup(parseGroupInput(input, 'test'), given);
  const service = {
    config: { name: a.name },
    failover: { settingsOf: () => resolveGroup(definition, a, b) },
  };
  return checkFailover(service as unknown as NodeService, definition);
}

test('a watchdog that is required has to be there', async () => {
  await expect(check('/dev/no-watchdog')).rejects.toMatchObject({
    code: 'WATCHDOG_UNUSABLE',
    message: expect.stringContaining('node "a" has no /dev/no-watchdog'),
  });
  await expect(check('/dev/null')).resolves.toBeDefined();
  await expect(check('off')).resolves.toBeDefined();
});
