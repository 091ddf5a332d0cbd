// Writes small pieces with fsync into a file for some seconds, and prints what that was like, as JSON:
// how long each fsync took, and how far the standby was behind each time (from the group's process).
//
//   node live-writer.ts FILE CONTROL-SOCKET SECONDS
import { closeSync, fsyncSync, openSync, writeSync } from 'node:fs';
import { randomBytes } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { ControlClient } from '../../src/service/control-channel.ts';

export interface LiveWriterReport {
  readonly fsyncMs: readonly number[];
  readonly lagMs: readonly number[];
  /** States that the copy was seen in. */
  readonly copies: readonly string[];
}

const PAUSE_MS = 50;
const [file = '', socket = '', seconds = '5'] = process.argv.slice(2);
const client = await ControlClient.connect(socket);
const fd = openSync(file, 'w');
const fsyncMs: number[] = [];
const lagMs: number[] = [];
const copies = new Set<string>();
const end = performance.now() + Number(seconds) * 1000;
while (performance.now() < end) {
  writeSync(fd, randomBytes(4096));
  const from = performance.now();
  fsyncSync(fd);
  fsyncMs.push(performance.now() - from);
  await sleep(PAUSE_MS);
  const status = (await client.call('status', {}, 5000)) as {
    lagMs: number;
    standby: { copy: string } | null;
  };
  lagMs.push(status.lagMs);
  copies.add(status.standby?.copy ?? 'none');
}
closeSync(fd);
client.close();
console.log(JSON.stringify({ fsyncMs, lagMs, copies: [...copies] } satisfies LiveWriterReport));
