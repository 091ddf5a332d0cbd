// Runs the filter alone over one directory until SIGTERM, for conformance suites and benchmarks:
// `node test/support/bare-filter.ts DIR [--capture] [--include P]… [--exclude P]… [--lease FILE]`.
// Without --capture nothing is recorded. With it, records are drained and thrown away.
import { parseArgs } from 'node:util';
import { RingConsumer } from '../../src/core/byte-ring.ts';
import { Filter } from '../../src/filter/filter.ts';

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    capture: { type: 'boolean', default: false },
    include: { type: 'string', multiple: true, default: ['**'] },
    exclude: { type: 'string', multiple: true, default: [] },
    spin: { type: 'string', default: '50' },
    lease: { type: 'string' },
  },
});
const [dir] = positionals;
if (dir === undefined) throw new Error('usage: bare-filter.ts DIR [--capture]');

const filter = new Filter({
  group: 'bare',
  directories: [{ dir, include: values.include, exclude: values.exclude }],
  epoch: 1,
  firstSequence: 1,
  captureFromStart: values.capture,
  ringBytes: 32 * 1024 * 1024,
  helperThreads: 3,
  spinMicroseconds: Number(values.spin),
  leaseFile: values.lease ?? null,
});
let ended = false;
await filter.start({
  onScan: () => undefined,
  onFailed: (message) => {
    console.error(message);
    filter.detach();
    process.exit(1);
  },
  onVerify: () => undefined,
  onMark: () => undefined,
  onEnded: () => {
    ended = true;
    void filter.close().then(() => process.exit(0));
  },
});
console.log('ready');

const stop = (): void => {
  const left = filter.unmount();
  if (left !== undefined) console.error(`${left.busy} is in use`);
};
process.on('SIGTERM', stop);
process.on('SIGINT', stop);

const consumer = new RingConsumer(filter.ring);
let position = consumer.released;
while (!ended) {
  const { position: at, bytes } = consumer.readable(position);
  if (bytes === 0) await consumer.waitForItem(position, 500);
  position = (at + bytes) >>> 0;
  consumer.release(position);
}
