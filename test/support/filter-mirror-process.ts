// Process that runs the filter over one directory and applies its records to another, at once and
// without network or journal in between: what the filter says is all that the copy gets.
import { appendFileSync, readdirSync } from 'node:fs';
import { RingConsumer } from '../../src/core/byte-ring.ts';
import { Filter } from '../../src/filter/filter.ts';
import { checkRecord, field, readU53, recordType, sealRecord } from '../../src/journal/record.ts';
import { AT, O } from '../../src/linux/constants.ts';
import { cstring, sys } from '../../src/linux/libc.ts';
import { Applier } from '../../src/mirror/applier/applier.ts';
import type { Difference } from '../../src/mirror/applier/verification.ts';
import { CopyPeek } from '../../src/mirror/guard/copy-peek.ts';
import { REWRITE_LIMITS, type RewriteAlarm } from '../../src/mirror/guard/rewrite-alarm.ts';
import { capturedMs, RewriteWatch } from '../../src/mirror/guard/rewrite-watch.ts';
import { RecordView } from '../../src/mirror/applier/record-view.ts';
import type {
  MirrorCounters,
  MirrorProcessOptions,
  MirrorReply,
  MirrorRequest,
  SeenRecord,
} from './filter-mirror-protocol.ts';
import { unmountLazily } from './loop-image.ts';

const TYPE_NAMES = new Map<number, string>(
  Object.entries(recordType).map(([name, value]) => [value, name]),
);
const BATCH_BYTES = 4 * 1024 * 1024;

class MirrorProcess {
  readonly #options: MirrorProcessOptions;
  readonly #filter: Filter;
  readonly #fd: number;
  #applier: Applier;
  readonly #consumer: RingConsumer;
  #position: number;
  #sequence = 0;
  #held = false;
  #confirms = false;
  #ended = false;
  #scanning = false;
  #trustedSinceMs = Number.NaN;
  #verifying = false;
  #point: MirrorCounters['point'] = null;
  readonly #hashedBytes: Record<string, number> = {};
  #differences: Difference[] = [];
  #sentBytes = 0;
  /** What a scan or a comparison could not read. */
  #fault: string | undefined;
  readonly #byType: Record<string, number> = {};
  #records: SeenRecord[] = [];
  readonly #seen = new RecordView();
  readonly #guard: RewriteWatch | undefined;
  readonly #alarms: RewriteAlarm[] = [];
  #scansNeeded = 0;

  constructor(options: MirrorProcessOptions) {
    this.#options = options;
    const { a, b, include, exclude } = options;
    this.#filter = new Filter({
      group: 'test',
      directories: [{ dir: a, include, exclude }],
      epoch: 1,
      firstSequence: 1,
      captureFromStart: options.captureFromStart,
      ringBytes: options.ringBytes,
      helperThreads: 2,
      spinMicroseconds: 0,
      leaseFile: options.leaseFile,
    });
    this.#fd = sys.openat(AT.FDCWD, cstring(b), O.RDONLY | O.DIRECTORY | O.CLOEXEC, 0);
    if (this.#fd < 0) throw new Error(`cannot open ${b}`);
    this.#guard = options.isGuarded
      ? new RewriteWatch(REWRITE_LIMITS, new CopyPeek([this.#fd]))
      : undefined;
    this.#applier = this.#makeApplier();
    this.#consumer = new RingConsumer(this.#filter.ring);
    this.#position = this.#consumer.released;
  }

  #makeApplier(): Applier {
    return new Applier({
      directories: [{ fd: this.#fd, label: this.#options.b, patterns: this.#options }],
      onNeed: (need) => this.#filter.need([need]),
      trustedSinceMs: () => this.#trustedSinceMs,
      onVerify: (notice) => {
        if (notice.kind === 'difference') this.#differences.push(notice.difference);
        if (notice.kind === 'end') this.#verifying = false;
      },
    });
  }

  async run(): Promise<void> {
    await this.#filter.start({
      onScan: (progress, finished, fault) => {
        this.#fault ??= fault;
        this.#sentBytes = progress.sentBytes;
        if (finished || fault !== undefined) this.#scanning = false;
      },
      onVerify: (_progress, _finished, fault) => {
        this.#fault ??= fault;
        if (fault !== undefined) this.#verifying = false;
      },
      onScanNeeded: () => {
        this.#scansNeeded += 1;
      },
      onMark: (point) => {
        this.#point = { sequence: point.sequence, wallMs: point.wallMs };
      },
      onEnded: () => {
        this.#ended = true;
      },
      onFailed: (message) => this.fail(`filter: ${message}`),
    });
    say({ ready: true });
    while (!this.#ended || this.#available() > 0) {
      if (this.#held || this.#available() === 0) {
        await this.#consumer.waitForItem(this.#held ? -1 : this.#position, this.#held ? 5 : 200);
      } else this.#applySome();
      await new Promise((resolve) => setImmediate(resolve));
    }
    await this.#filter.close();
  }

  #available(): number {
    return this.#consumer.readable(this.#position).bytes;
  }

  #applySome(): void {
    const { position, bytes } = this.#consumer.readable(this.#position);
    const start = this.#consumer.offsetOf(position);
    const { view } = this.#consumer;
    let length = 0;
    while (length < Math.min(bytes, BATCH_BYTES) && !this.#consumer.isSkipAt(start + length)) {
      const at = start + length;
      sealRecord(this.#consumer.bytes, view, at);
      const total = checkRecord(this.#consumer.bytes, view, at, bytes - length);
      if (typeof total === 'string') return this.fail(`record ${this.#sequence + 1}: ${total}`);
      const sequence = readU53(view, at + field.sequence);
      if (sequence !== this.#sequence + 1) return this.fail(`gap after ${this.#sequence}`);
      this.#sequence = sequence;
      this.#note(at);
      const fault = this.#applier.apply(this.#consumer.bytes, view, at);
      if (fault !== undefined) {
        const last = this.#records.slice(-20).map((seen) => JSON.stringify(seen));
        return this.fail(`applier: ${JSON.stringify(fault)}, after\n${last.join('\n')}`);
      }
      length += total;
    }
    const fault = this.#applier.endBatch();
    if (fault !== undefined) return this.fail(`applier: ${JSON.stringify(fault)}`);
    this.#position = (position + length) >>> 0;
    this.#consumer.release(this.#position);
    if (this.#confirms) this.#filter.commits.release(this.#sequence);
    if (this.#scanning) this.#filter.applied(this.#sequence);
  }

  #note(at: number): void {
    const record = this.#seen;
    record.load(this.#consumer.bytes, this.#consumer.view, at);
    const type = TYPE_NAMES.get(record.type) ?? String(record.type);
    this.#byType[type] = (this.#byType[type] ?? 0) + 1;
    if (record.type === recordType.scanEnd) this.#scanning = false;
    if (record.type === recordType.scanHash) {
      const { path, length } = record;
      this.#hashedBytes[path] = (this.#hashedBytes[path] ?? 0) + length;
    }
    this.#look(at);
    if (this.#options.recordsKept === 0) return;
    const { path, path2, offset, length, payloadLength } = record;
    const seen: SeenRecord = { type, path, path2, offset, length, payloadBytes: payloadLength };
    this.#records.push(seen);
    if (this.#options.logFile !== undefined) {
      const line = { sequence: record.sequence, aux: record.aux, scan: record.duringScan, ...seen };
      appendFileSync(this.#options.logFile, `${JSON.stringify(line)}\n`);
    }
    if (this.#records.length > this.#options.recordsKept) this.#records.shift();
  }

  #look(at: number): void {
    if (this.#guard === undefined) return;
    this.#guard.examine(this.#seen, capturedMs(this.#consumer.view, at));
    const alarm = this.#guard.take();
    if (alarm !== undefined) this.#alarms.push(alarm);
  }

  async obey(request: MirrorRequest): Promise<MirrorCounters> {
    let busy: string | undefined;
    switch (request.type) {
      case 'quiesce':
        await this.#quiesce();
        break;
      case 'scan':
        this.#scanning = true;
        // As a standby does, which may have been changed meanwhile.
        this.#applier.close();
        this.#applier = this.#makeApplier();
        this.#trustedSinceMs = request.trust === 'always' ? Infinity : (request.trust ?? NaN);
        this.#filter.scan(request.plan);
        break;
      case 'verify':
        this.#applier.close();
        this.#applier = this.#makeApplier();
        this.#verifying = true;
        this.#filter.verify();
        await this.#quiesce();
        break;
      case 'mark':
        this.#point = null;
        this.#filter.mark();
        while (this.#point === null) await new Promise((resolve) => setTimeout(resolve, 2));
        break;
      case 'hold':
        this.#held = request.held;
        break;
      case 'disable':
        this.#filter.disable();
        break;
      case 'gate':
        this.#filter.commits.setClosed(request.closed);
        this.#confirms = request.confirms;
        break;
      case 'confirm':
        this.#filter.commits.release(this.#sequence);
        break;
      case 'detach':
        this.#filter.detach();
        break;
      case 'unmount':
        busy = this.#filter.unmount()?.busy;
        break;
      case 'counters':
        break;
    }
    return this.#counters(busy);
  }

  /** Waits until everything that was captured before is applied, and a scan under way is complete. */
  async #quiesce(): Promise<void> {
    while (this.#available() > 0 || this.#scanning || this.#verifying) {
      await new Promise((resolve) => setTimeout(resolve, 2));
    }
  }

  #counters(busy: string | undefined): MirrorCounters {
    const { rss, heapUsed } = process.memoryUsage();
    const records = this.#records;
    const differences = this.#differences;
    this.#records = [];
    this.#differences = [];
    return {
      byType: { ...this.#byType },
      records,
      descriptors: readdirSync('/proc/self/fd').length,
      rssBytes: rss,
      heapBytes: heapUsed,
      sentBytes: this.#sentBytes,
      fault: this.#fault,
      differences,
      hashedBytes: { ...this.#hashedBytes },
      point: this.#point,
      spoilt: this.#guard?.spoiltCount ?? 0,
      alarms: [...this.#alarms],
      scansNeeded: this.#scansNeeded,
      lacksScan: this.#filter.lacksScan,
      ...(busy === undefined ? {} : { busy }),
    };
  }

  fail(message: string): void {
    say({ failed: message });
    this.cleanUp();
    // The message has to be on its way.
    setTimeout(() => process.exit(1), 50);
    this.#held = true;
  }

  cleanUp(): void {
    this.#filter.detach();
    for (const dir of this.#options.cleanUp) unmountLazily(dir);
  }
}

function say(reply: MirrorReply): void {
  process.send?.(reply);
}

const options = JSON.parse(process.argv[2] ?? '{}') as MirrorProcessOptions;
const mirror = new MirrorProcess(options);
process.on('message', (message: { id: number; request: MirrorRequest }) => {
  mirror.obey(message.request).then(
    (counters) => say({ id: message.id, counters }),
    (thrown: unknown) => mirror.fail(String(thrown)),
  );
});
process.on('disconnect', () => {
  mirror.cleanUp();
  process.exit(1);
});
setTimeout(() => {
  say({ failed: 'the lifetime of the mirror process is over' });
  mirror.cleanUp();
  process.exit(1);
}, options.lifetimeMs).unref();
await mirror.run();
process.disconnect();
process.exit(0);
