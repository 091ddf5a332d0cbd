// What somebody may try on the replication port: without the right certificate nothing is read;
// with it, nothing that breaks the rules reaches the journal, and the standby goes on listening.
import * as fc from 'fast-check';
import { once } from 'node:events';
import { connect as connectTcp, type Socket } from 'node:net';
import { connect, type TLSSocket } from 'node:tls';
import { afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import {
  GROUP_ID,
  type Identities,
  makeIdentities,
  scratch,
  StandbyRig,
  STREAM,
  until,
} from '../../test/support/mirror-rig.ts';
import { sampleRecords } from '../../test/support/records.ts';
import { field, sealRecord, writeU53 } from '../journal/record.ts';
import { encodeFrame, FrameParser, frameType, LINK_VERSION, standbyFrames } from './link/frame.ts';
import { encodeMessage, type Hello } from './link/messages.ts';
import { PACKED_HEADER_BYTES, packSync, writePackedHeader } from './link/packed.ts';
import { type LinkIdentity, tlsOptions } from './link/tls.ts';

const BASE = { streamId: '0f'.repeat(16), sequence: 100 };
const shape = { epoch: 1, payloadBytesMax: 100, commitEvery: 1000, special: {} };

const hello: Hello = {
  protocol: LINK_VERSION,
  group: 'test',
  groupId: GROUP_ID,
  node: { id: '0123456789abcdef', name: 'a' },
  epoch: 1,
  streamId: STREAM,
  firstSequence: 101,
  base: BASE,
  headSequence: 100,
  neededSequence: 100,
  tailSequence: 101,
  commitsWaitFor: 'durable',
  life: null,
  needsReceived: 0,
  marks: [],
};

let identities: Identities;
let directory: ReturnType<typeof scratch>;
let standby: StandbyRig;
const sockets: (Socket | TLSSocket)[] = [];

beforeAll(async () => {
  identities = await makeIdentities();
});
beforeEach(async () => {
  directory = scratch();
  standby = new StandbyRig({
    directory: directory.path,
    identity: identities.standby,
    peerCertificate: identities.primary.certificate,
    shape,
    holds: BASE,
    idle: true,
  });
  await standby.start();
});
afterEach(async () => {
  for (const socket of sockets.splice(0)) socket.destroy();
  await standby.stop();
  directory.remove();
});

/** Connects with an identity and collects the types of frames that come back. */
async function dial(identity: LinkIdentity): Promise<{ socket: TLSSocket; types: number[] }> {
  const socket = connect({ ...tlsOptions(identity), host: '127.0.0.1', port: standby.port });
  sockets.push(socket);
  const types: number[] = [];
  const parser = new FrameParser(standbyFrames, (type) => types.push(type) > 0);
  socket.on('data', (chunk: Buffer) => parser.push(chunk));
  socket.on('error', () => socket.destroy());
  await Promise.race([once(socket, 'secureConnect'), once(socket, 'close')]);
  return { socket, types };
}

async function welcomed(
  change: Partial<Hello> = {},
): Promise<{ socket: TLSSocket; types: number[] }> {
  const peer = await dial(identities.primary);
  peer.socket.write(encodeMessage(frameType.hello, { ...hello, ...change }));
  await until(() => peer.types.includes(frameType.welcome), 'a welcome');
  return peer;
}

function packedBody(records: Buffer): Buffer {
  const packed = packSync(records);
  const body = Buffer.alloc(PACKED_HEADER_BYTES + packed.length);
  writePackedHeader(body, 0, records.length);
  body.set(packed, PACKED_HEADER_BYTES);
  return body;
}

const dropped = (socket: Socket | TLSSocket): Promise<void> =>
  until(() => socket.destroyed || socket.closed, 'the connection is dropped');

describe('strangers', () => {
  it('without the pinned certificate are dropped before they can say anything', async () => {
    const { socket, types } = await dial(identities.stranger);
    socket.write(encodeMessage(frameType.hello, hello));
    await dropped(socket);
    expect(types).toEqual([]);
    expect(standby.receiver.isConnected).toBe(false);
    await welcomed();
  });

  it('that speak no TLS are dropped', async () => {
    const socket = connectTcp(standby.port, '127.0.0.1');
    sockets.push(socket);
    socket.on('error', () => socket.destroy());
    socket.write('GET / HTTP/1.1\r\nHost: standby\r\n\r\n');
    socket.resume();
    await dropped(socket);
    await welcomed();
  });

  it('that say nothing are few, and are dropped after a while', async () => {
    const silent: Socket[] = [];
    for (let i = 0; i < 40; i += 1) {
      const socket = connectTcp(standby.port, '127.0.0.1');
      sockets.push(socket);
      silent.push(socket);
      socket.on('error', () => socket.destroy());
      socket.resume();
    }
    const open = (): number => silent.filter((socket) => !socket.destroyed).length;
    await until(
      () => open() <= 16,
      () => `${open()} are still connected`,
    );
    await until(
      () => open() === 0,
      () => `${open()} are still connected`,
      8000,
    );
    await welcomed();
  });

  it('that come again and again do not keep the primary out', async () => {
    let isOver = false;
    const come = (): void => {
      if (isOver) return;
      const from = { host: '127.0.0.1', localAddress: '127.0.0.9', port: standby.port };
      const socket = connectTcp(from);
      sockets.push(socket);
      socket.on('error', () => socket.destroy());
      socket.on('close', () => setTimeout(come, 20));
      socket.resume();
    };
    for (let i = 0; i < 40; i += 1) come();
    await new Promise((resolve) => {
      setTimeout(resolve, 200);
    });
    await welcomed().finally(() => {
      isOver = true;
    });
  });
});

describe('a primary', () => {
  it('of another group, epoch or protocol is refused', async () => {
    standby.state.update({ epoch: 3 });
    for (const wrong of [{ groupId: 'cd'.repeat(16) }, { epoch: 2 }, { protocol: 99 }]) {
      const { socket, types } = await dial(identities.primary);
      socket.write(encodeMessage(frameType.hello, { ...hello, epoch: 3, ...wrong }));
      await dropped(socket);
      expect(types).toEqual([frameType.refuse]);
    }
  });

  it('that sends records with a gap, a repeat or another epoch is dropped, and nothing is kept', async () => {
    const wrong = [
      [{ sequence: 102 }],
      [{ sequence: 101 }, { sequence: 101 }],
      [{ sequence: 101 }, { sequence: 103 }],
      [{ sequence: 101, epoch: 2 }],
    ];
    for (const samples of wrong) {
      const { socket } = await welcomed();
      socket.write(encodeFrame(frameType.records, sampleRecords(samples)));
      await dropped(socket);
      expect(standby.journal.position.sequence).toBe(100);
    }
    const { socket } = await welcomed();
    socket.write(encodeFrame(frameType.records, sampleRecords([{ sequence: 101 }])));
    await until(() => standby.journal.position.sequence === 101, 'a good record is taken');
  });

  it('cannot name a place outside the directory', async () => {
    for (const path of ['../etc/passwd', '/etc/passwd', 'a/../../b', 'a//b', './a', 'a\0b', '..']) {
      const { socket } = await welcomed();
      socket.write(encodeFrame(frameType.records, sampleRecords([{ sequence: 101, path }])));
      await dropped(socket);
      expect(standby.journal.position.sequence).toBe(100);
    }
  });

  it('that sends frames of before once more is dropped, on the same connection and on a new one', async () => {
    const records = sampleRecords([{ sequence: 101, payloadBytes: 90 }, { sequence: 102 }]);
    const plain = encodeFrame(frameType.records, records);
    const packed = encodeFrame(frameType.packed, packedBody(records));
    const first = await welcomed();
    first.socket.write(plain);
    await until(() => standby.journal.position.sequence === 102, 'the frame is taken once');
    await until(() => first.types.includes(frameType.ack), 'and acknowledged');
    const { bytes } = standby.journal;
    first.socket.write(plain);
    await dropped(first.socket);
    for (const replayed of [plain, packed]) {
      const { socket } = await welcomed({ tailSequence: 103, headSequence: 102 });
      socket.write(replayed);
      await dropped(socket);
    }
    expect(standby.journal.position.sequence).toBe(102);
    expect(standby.journal.bytes).toBe(bytes);
    // The stream itself goes on behind them, compressed too.
    const { socket } = await welcomed({ tailSequence: 103, headSequence: 102 });
    socket.write(encodeFrame(frameType.packed, packedBody(sampleRecords([{ sequence: 103 }]))));
    await until(() => standby.journal.position.sequence === 103, 'the next record is taken');
  });

  it('that sends damaged or swelling compressed frames is dropped', async () => {
    const good = packedBody(sampleRecords([{ sequence: 101, payloadBytes: 90 }]));
    const damaged = Buffer.from(good);
    damaged.writeUInt8(damaged.readUInt8(20) ^ 0xff, 20);
    const swells = packedBody(Buffer.alloc(8 * 1024 * 1024));
    swells.writeUInt32LE(2 * 1024 * 1024, 0);
    for (const body of [damaged, swells, good.subarray(0, 12), Buffer.alloc(100)]) {
      const { socket } = await welcomed();
      socket.write(encodeFrame(frameType.packed, body));
      await dropped(socket);
    }
    expect(standby.fatal).toBeUndefined();
    expect(standby.journal.position.sequence).toBe(100);
  });

  it('with sequences beyond all bounds is dropped', async () => {
    const record = sampleRecords([{ sequence: 101 }]);
    const view = new DataView(record.buffer);
    writeU53(view, field.sequence, Number.MAX_SAFE_INTEGER);
    view.setUint32(field.sequence + 4, 0xffff_ffff, true);
    sealRecord(record, view, 0);
    const { socket } = await welcomed();
    socket.write(encodeFrame(frameType.records, record));
    await dropped(socket);
    expect(standby.journal.position.sequence).toBe(100);
  });

  it('that sends any bytes at any time does no harm', async () => {
    const known = fc.constantFrom(1, 2, 3, 4, 5, 6, 7, 8, 9, 10);
    const body = fc.oneof(
      fc.uint8Array({ minLength: 1, maxLength: 600 }).map((bytes) => Buffer.from(bytes)),
      fc.json().map((text) => Buffer.from(text)),
      fc.uint8Array({ minLength: 1, maxLength: 20 }).map((noise) => {
        const record = sampleRecords([{ sequence: 101, payloadBytes: 50 }]);
        noise.forEach((byte, i) => {
          const at = (byte * 31 + i * 7) % record.length;
          record.writeUInt8(record.readUInt8(at) ^ (byte | 1), at);
        });
        return record;
      }),
    );
    const frame = fc.tuple(known, body).map(([type, bytes]) => encodeFrame(type, bytes));
    const noise = fc.uint8Array({ maxLength: 300 }).map((bytes) => Buffer.from(bytes));
    const script = fc.record({
      greet: fc.boolean(),
      pieces: fc.array(fc.oneof(frame, noise), { minLength: 1, maxLength: 6 }),
    });
    const property = fc.asyncProperty(script, async ({ greet, pieces }) => {
      const { socket } = greet ? await welcomed() : await dial(identities.primary);
      for (const piece of pieces) socket.write(piece);
      socket.end();
      await once(socket, 'close');
      expect(standby.fatal).toBeUndefined();
      expect(standby.journal.position.sequence).toBe(100);
    });
    await fc.assert(property, { numRuns: 60 });
    await welcomed();
  });
});
