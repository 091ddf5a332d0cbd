// What a standby that is paired, but faulty or broken into, may try on the primary: what it asks for is bounded.
import { afterEach, expect, it } from 'vitest';
import {
  makeIdentities,
  makeSender,
  scratch,
  STREAM,
  until,
} from '../../test/support/mirror-rig.ts';
import { systemClock } from '../core/clock.ts';
import { silentLogger } from '../core/logger.ts';
import { frameType } from './link/frame.ts';
import { LinkServer, type ServerLink } from './link/link-server.ts';
import { encodeMessage, type Hello, type NeedRange } from './link/messages.ts';

/** As many as a frame of control has room for. */
const RANGES_PER_FRAME = 400;
const FRAMES = 400;

const cleanups: (() => Promise<void> | void)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).toReversed()) await cleanup();
});

const welcome = {
  epoch: 1,
  life: 'cd'.repeat(16),
  position: { streamId: STREAM, receivedSequence: 0, durableSequence: 0, appliedSequence: 0 },
  copy: 'syncing',
  action: { kind: 'resume', from: 1 },
};

/** Listens as a standby whose answer to each introduction is `answer`. */
async function startStandby(
  answer: (link: ServerLink, hello: Hello) => void,
): Promise<{ port: number; rig: ReturnType<typeof makeSender> }> {
  const identities = await makeIdentities();
  const directory = scratch();
  cleanups.push(() => directory.remove());
  const server = new LinkServer(
    {
      host: '127.0.0.1',
      port: 0,
      peerCertificate: identities.primary.certificate,
      identity: identities.standby,
      linkTimeoutMs: 2000,
    },
    { onHello: answer, onFrame: () => undefined, onDown: () => undefined },
    { clock: systemClock, logger: silentLogger },
  );
  const port = await server.listen();
  cleanups.push(async () => server.close());
  const rig = makeSender({
    peer: { host: '127.0.0.1', port, certificate: identities.standby.certificate },
    identity: identities.primary,
    spillDirectory: directory.path,
    base: { streamId: '0f'.repeat(16), sequence: 0 },
  });
  cleanups.push(() => rig.sender.destroy());
  return { port, rig };
}

function askFrom(link: ServerLink, first: number): void {
  const range: NeedRange = { compare: true, directory: 0, path: 'a', offset: 0, length: 1 };
  for (let frame = 0; frame < FRAMES; frame += 1) {
    const ranges = Array.from({ length: RANGES_PER_FRAME }, () => range);
    link.write(encodeMessage(frameType.need, { first: first + frame * RANGES_PER_FRAME, ranges }));
  }
}

it('that asks for more than it may have asked for at once is dropped, and what it asked for is not kept', async () => {
  let asked = 0;
  const { rig } = await startStandby((link, hello) => {
    link.write(encodeMessage(frameType.welcome, welcome));
    askFrom(link, hello.needsReceived);
    asked += 1;
  });
  // The scanner is held up: it takes none of them.
  rig.takesNeeds = false;
  rig.sender.start();
  await until(
    () => asked === 3,
    () => `${rig.needs.length} needs kept; ${rig.links.join(', ')}`,
  );
  expect(rig.links.join()).toContain('the standby asks for more at once than it may');
  expect(rig.needs.length).toBeLessThanOrEqual(32_768);
  expect(rig.needs.length).toBeGreaterThan(16_000);
});
