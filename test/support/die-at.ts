// Loaded into every thread of a filter under test (`node --import`): the process kills itself when it serves
// a request of a certain kind and has come to a certain point. What to do is in the file named by
// DIE_AT: `<opcode> <point>`, once.
//
//   done      carried out underneath; records and entries are not visible
//   recorded  the records are in the ring; the tables in the log know nothing
//   settled   the log is complete, too; the kernel has no answer
import { readFileSync, rmSync } from 'node:fs';
import { RingProducer } from '../../src/core/byte-ring.ts';
import { Request } from '../../src/filter/channel.ts';
import { MountLog } from '../../src/filter/state-log.ts';

export type Point = 'done' | 'recorded' | 'settled';

const file = process.env['DIE_AT'];
let opcode = 0;

function dieAt(point: Point): void {
  if (file === undefined) return;
  let order;
  try {
    order = readFileSync(file, 'utf8');
  } catch {
    return;
  }
  if (order !== `${opcode} ${point}`) return;
  rmSync(file);
  process.kill(process.pid, 'SIGKILL');
  // The signal takes a moment to reach this thread, which must not go on meanwhile.
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 10_000);
}

function wrap<T extends object, K extends keyof T>(
  prototype: T,
  name: K,
  around: (original: T[K]) => T[K],
): void {
  prototype[name] = around(prototype[name]);
}

wrap(
  Request.prototype,
  'load',
  (original) =>
    function load(this: Request, at, length) {
      original.call(this, at, length);
      opcode = this.opcode;
    },
);
wrap(
  RingProducer.prototype,
  'flush',
  (original) =>
    function flush(this: RingProducer) {
      if (this.isHolding) dieAt('done');
      original.call(this);
    },
);
wrap(
  MountLog.prototype,
  'settle',
  (original) =>
    function settle(this: MountLog, low, high) {
      dieAt('recorded');
      original.call(this, low, high);
      dieAt('settled');
    },
);
