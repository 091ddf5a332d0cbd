import { expect, it } from 'vitest';
import { markRequestSchema } from './rewind.ts';

it('a bookmark whose name is none reaches the standby, which says so in a sentence', () => {
  const asked = { groupId: '0'.repeat(32), name: '7x', sequence: 1 };
  expect(markRequestSchema.safeParse(asked).success).toBe(true);
});
