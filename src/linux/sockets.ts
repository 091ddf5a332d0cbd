// Sockets that Node has no class for: packet(7), raw(7) and netlink(7). All are non-blocking and
// polled by their owners; the kernel keeps what arrives until it is read.
import { UnderstudyError } from '../core/errors.ts';
import { errnoName } from './constants.ts';
import { addressOf, sys } from './libc.ts';

export const AF = { INET: 2, INET6: 10, NETLINK: 16, PACKET: 17 } as const;
export const SOCK = { DGRAM: 2, RAW: 3, NONBLOCK: 0o4000, CLOEXEC: 0o2000000 } as const;
const SOL_SOCKET = 1;
const SO_ATTACH_FILTER = 26;
const SO_ATTACH_FILTER_LENGTH = 16;

/** One instruction of classic BPF (filter.h): code, jump if true, jump if false, operand. */
export type FilterInstruction = readonly [code: number, jt: number, jf: number, k: number];

/** Opens a socket, or says why the machine does not permit it. Errors: SOCKET_REFUSED. */
export function openSocket(domain: number, type: number, protocol: number): number {
  const fd = sys.socket(domain, type | SOCK.NONBLOCK | SOCK.CLOEXEC, protocol);
  if (fd < 0) {
    throw new UnderstudyError(
      'SOCKET_REFUSED',
      `the kernel refuses a socket of family ${domain} (${errnoName(fd)}): the service needs CAP_NET_ADMIN and CAP_NET_RAW, run it as root`,
    );
  }
  return fd;
}

/** Throws SOCKET_REFUSED when `result` is a negative errno; closes `fd` before. */
export function demand(fd: number, result: number, what: string): void {
  if (result >= 0) return;
  sys.close(fd);
  throw new UnderstudyError('SOCKET_REFUSED', `${what} failed (${errnoName(result)})`);
}

/** setsockopt(2) with an int. Returns 0 or a negative errno. */
export function setIntOption(fd: number, level: number, option: number, value: number): number {
  const bytes = new Uint8Array(new Int32Array([value]).buffer);
  return sys.setsockopt(fd, level, option, bytes, 4);
}

/** Lets the kernel drop what the owner of the socket would ignore, before it wakes anybody. */
export function attachFilter(fd: number, program: readonly FilterInstruction[]): number {
  const instructions = Buffer.alloc(program.length * 8);
  program.forEach(([code, jt, jf, k], index) => {
    instructions.writeUInt16LE(code, index * 8);
    instructions.writeUInt8(jt, index * 8 + 2);
    instructions.writeUInt8(jf, index * 8 + 3);
    instructions.writeUInt32LE(k >>> 0, index * 8 + 4);
  });
  const descriptor = Buffer.alloc(SO_ATTACH_FILTER_LENGTH);
  descriptor.writeUInt16LE(program.length, 0);
  descriptor.writeBigUInt64LE(BigInt(addressOf(instructions)), 8);
  return sys.setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, descriptor, descriptor.length);
}
