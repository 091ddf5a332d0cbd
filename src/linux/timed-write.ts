// write(2) that is carried out before a certain time or not at all, also when the thread is stopped
// (SIGSTOP, control group freezer, scheduler) at any instruction for any length of time.
//
// Looking at the clock and then calling write(2) leaves a gap: a thread that is stopped in between
// writes when it goes on, however late. The kernel closes it with restartable sequences (rseq(2),
// registered for each thread by the C library): a thread that was not running for a moment does not go
// on within the sequence, but at its abort handler. Here the sequence begins with the comparison of the
// time and ends with the system call; the abort handler looks at the clock anew. An instruction can
// neither be interrupted that way from JavaScript nor through a function of the C library, hence the
// few lines of machine code; they touch nothing but their arguments.
//
// Where this cannot be (arm64 so far, a C library before 2.35 or with rseq switched off), the gap stays:
// about a fifth of a microsecond.
import koffi from 'koffi';
import { boottimeMs } from './boottime.ts';
import { addressOf, pin, sys } from './libc.ts';

/** The time had come, and nothing was written: -ETIME. */
export const TOO_LATE = -62;

/** long timed_write(int fd, const void *buffer, size_t bytes, struct context *context) */
const CODE = Buffer.from(
  [
    '53 55 4154 4155 4156', //          push rbx, rbp, r12, r13, r14
    '89fb 4889f5 4989d4 4989cd', //     mov ebx, edi; rbp, rsi; r12, rdx; r13, rcx
    '644c8b342500000000', //            mov r14, fs:0            the thread …
    '4d037530', //                      add r14, [r13+48]        … and its struct rseq
    // again:
    '4d896e08', //                      mov [r14+8], r13         rseq_cs = &context.sequence
    'bf07000000', //                    mov edi, 7               CLOCK_BOOTTIME
    '498d7538', //                      lea rsi, [r13+56]
    '41ff5528', //                      call [r13+40]            clock_gettime
    'f2490f2a4538 f2410f594548', //     xmm0 = seconds * 1000 …
    'f2490f2a4d40 f2410f5e4d50', //     xmm1 = nanoseconds / 1e6
    'f20f58c1', //                      addsd xmm0, xmm1         … the time in ms
    '498b4d20', //                      mov rcx, [r13+32]        where the end is
    '89df 4889ee 4c89e2', //            mov edi, ebx; rsi, rbp; rdx, r12
    // start of the sequence:
    '4d396e08 75c1', //                 cmp [r14+8], r13; jne again   not running since `again`
    'f20f1011', //                      movsd xmm2, [rcx]
    '660f2fd0 7609', //                 comisd xmm2, xmm0; jbe late   end <= time, or no number
    'b801000000 0f05', //               mov eax, 1; syscall      write(2)
    // end of the sequence:
    'eb07', //                          jmp done
    '48c7c0c2ffffff', // late:          mov rax, -ETIME
    '4983660800', // done:              and [r14+8], 0
    '415e 415d 415c 5d 5b c3', //       pop r14, r13, r12, rbp, rbx; ret
    '53300553', //                      signature before an abort handler (RSEQ_SIG)
    'eb93', // abort:                   jmp again
  ]
    .join('')
    .replaceAll(' ', ''),
  'hex',
);
const START_AT = 0x59;
const END_AT = 0x70;
const ABORT_AT = 0x8b;

/** struct context: struct rseq_cs (linux/rseq.h), then what the code needs. */
const context = {
  start: 8,
  length: 16,
  abort: 24,
  end: 32,
  clockGettime: 40,
  rseqOffset: 48,
  thousand: 72,
  million: 80,
  bytes: 96,
} as const;

const libc = koffi.load('libc.so.6');
const prototype = koffi.proto(null, 'int64_t', ['int', 'uintptr_t', 'size_t', 'uintptr_t']);

const PAGE_BYTES = 4096;
const PROT_READ = 1;
const PROT_WRITE = 2;
const PROT_EXEC = 4;
const MAP_PRIVATE_ANONYMOUS = 0x22;

/** Writes `bytes` bytes at `address` to `fd`; as write(2), or {@link TOO_LATE}. */
export type TimedWrite = (fd: number, address: number, bytes: number) => number;

/**
 * The function, with the last moment (CLOCK_BOOTTIME, ms) read from `end[0]` each time. Allocates
 * nothing per call. May be used by the thread that made it only.
 */
export function createTimedWrite(end: Float64Array): { write: TimedWrite; isExact: boolean } {
  const exact = process.arch === 'x64' ? createExact(end) : undefined;
  if (exact !== undefined) return { write: exact, isExact: true };
  const write: TimedWrite = (fd, address, bytes) => {
    const untilMs = end[0] ?? 0;
    return boottimeMs() < untilMs ? sys.write(fd, address, bytes) : TOO_LATE;
  };
  return { write, isExact: false };
}

function createExact(end: Float64Array): TimedWrite | undefined {
  const offset = rseqOffset();
  if (offset === undefined) return undefined;
  const page = sys.mmap(0, PAGE_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE_ANONYMOUS, -1, 0);
  if (page < 0) return undefined;
  const bytes = new Uint8Array(koffi.view(BigInt(page), PAGE_BYTES));
  bytes.set(CODE);
  if (sys.mprotect(page, PAGE_BYTES, PROT_READ | PROT_EXEC) < 0) return undefined;
  const memory = new Uint8Array(new ArrayBuffer(context.bytes));
  const view = new DataView(memory.buffer);
  const put = (at: number, value: bigint | number): void =>
    view.setBigInt64(at, BigInt(value), true);
  put(context.start, page + START_AT);
  put(context.length, END_AT - START_AT);
  put(context.abort, page + ABORT_AT);
  put(context.end, addressOf(new Uint8Array(end.buffer, end.byteOffset)));
  put(context.clockGettime, libc.symbol('clock_gettime') as bigint);
  put(context.rseqOffset, offset);
  view.setFloat64(context.thousand, 1000, true);
  view.setFloat64(context.million, 1e6, true);
  return bind(page, memory);
}

function bind(page: number, memory: Uint8Array): TimedWrite {
  const call = koffi.decode(BigInt(page), prototype) as (
    fd: number,
    address: number,
    bytes: number,
    context: number,
  ) => number;
  const contextAddress = pin(memory);
  return (fd, address, bytes) => call(fd, address, bytes, contextAddress);
}

/** From the thread pointer to the thread's `struct rseq`; undefined when it is not registered. */
function rseqOffset(): bigint | undefined {
  try {
    const size = koffi.decode(libc.symbol('__rseq_size'), 'uint32_t') as number;
    if (size === 0) return undefined;
    return BigInt(koffi.decode(libc.symbol('__rseq_offset'), 'int64_t') as number);
  } catch {
    // A C library before 2.35.
    return undefined;
  }
}
