// Creating a group of what runs: it is stopped only when nothing else is in the way.
import { expect, test } from 'vitest';
import type { Proposal } from '../agents/discovery/proposal.ts';
import { UnderstudyError } from '../core/errors.ts';
import { createStopped } from './discover-command.ts';

const found: Proposal = {
  title: 'PostgreSQL',
  found: '',
  isRunning: true,
  pid: process.pid,
  group: { name: 'db', paths: [{ dir: '/srv/db' }], agents: [] },
  notes: [],
};
/** As if its agents had ended it. */
const stoppable: Proposal = { ...found, pid: null };

const busy = (...processes: string[]): UnderstudyError =>
  new UnderstudyError('DIRECTORY_BUSY', 'in use', { details: { dir: '/srv/db', processes } });
const own = `${process.pid} postgres: /srv/db (working directory)`;

/** What was made, and what the attempt ended with. */
async function attempt(
  proposal: Proposal,
  stopRunning: boolean,
  faults: { check?: Error; create?: Error } = {},
): Promise<{ made: boolean; error: unknown }> {
  let made = false;
  const work = {
    check: async () => {
      await Promise.resolve();
      if (faults.check !== undefined) throw faults.check;
    },
    create: async () => {
      await Promise.resolve();
      made = true;
      if (faults.create !== undefined) throw faults.create;
    },
  };
  const error = await createStopped(proposal, stopRunning, work).catch((thrown: unknown) => thrown);
  return { made, error };
}

test('a slip in the file, or a node that does not answer, is told before anything is stopped', async () => {
  const check = new UnderstudyError('GROUP_INVALID', 'unknown key "adresses"');
  expect(await attempt(stoppable, true, { check })).toEqual({ made: false, error: check });
});

test('that the application itself uses its directory is no obstacle; others are', async () => {
  const done = await attempt(stoppable, true, { check: busy() });
  expect(done).toEqual({ made: true, error: undefined });
  const asked = await attempt(found, false, { check: busy(own) });
  expect(asked.error).toMatchObject({
    code: 'DISCOVERY_RUNS',
    message: expect.stringMatching(/--stop-running.*understudy discover db > db\.yaml/),
  });
  const { made, error } = await attempt(found, true, { check: busy(own, '1 init: /srv/db') });
  expect(made).toBe(false);
  expect(error).toMatchObject({
    code: 'DIRECTORY_BUSY',
    message: expect.stringMatching(/by others than PostgreSQL \(1 init: \/srv\/db\)/),
  });
});

test('when the creation fails all the same, it is said that the application does not run', async () => {
  const create = new UnderstudyError('NODE_UNREACHABLE', 'node "b" cannot be reached');
  const { error } = await attempt(stoppable, true, { create });
  expect(error).toMatchObject({
    code: 'NODE_UNREACHABLE',
    message: expect.stringMatching(/cannot be reached\. PostgreSQL was stopped .* start it/),
  });
});
