// What the service and an agent host say to each other: JSON lines over a socket pair, which the host has
// as descriptor 3.
//
//   service ──{ id, method, params }──▶ host          host ──{ ready: true }──▶ service, once
//   service ──{ abort: id }───────────▶ host          host ──{ id, result | error }──▶ service
//
// An agent is somebody's program: the service believes nothing that comes from its host.
import type { Duplex } from 'node:stream';
import { z } from 'zod';
import { LineSplitter } from '../../core/line-splitter.ts';

export const HOST_DESCRIPTOR = 3;
const LINE_BYTES_MAX = 1024 * 1024;
const OUTPUT_BYTES_MAX = 8 * 1024 * 1024;

/** Where an agent is found. */
export const agentSourceSchema = z.discriminatedUnion('kind', [
  z.strictObject({ kind: z.literal('builtin'), name: z.string() }),
  /** A module with a default export made by `defineAgent`. */
  z.strictObject({ kind: z.literal('module'), name: z.string(), path: z.string() }),
  /** A program that is called with what it shall do. */
  z.strictObject({ kind: z.literal('program'), name: z.string(), path: z.string() }),
]);
export type AgentSource = z.infer<typeof agentSourceSchema>;

/** An agent without its functions. */
export const agentDescriptionSchema = z.object({
  name: z.string().max(64),
  title: z.string().max(200),
  description: z.string().max(2000),
  defaults: z.object({
    startTimeoutMs: z.number().positive().optional(),
    stopTimeoutMs: z.number().positive().optional(),
    probeIntervalMs: z.number().positive().optional(),
    probeTimeoutMs: z.number().positive().optional(),
  }),
  excludes: z.array(z.string().max(1024)).max(256),
  /** JSON Schema of the parameters as people write them. */
  parameters: z.record(z.string(), z.unknown()),
  /** Functions that it has, besides `probe`. */
  functions: z.array(z.string().max(40)).max(20),
});
export type AgentDescription = z.infer<typeof agentDescriptionSchema>;

export const parameterCheckSchema = z.object({
  /** Null: all is well. */
  fault: z.string().max(4000).nullable(),
  /** For forms: where each fault is, and what it is. */
  fields: z.array(z.string().max(1024)).max(16).readonly().default([]),
  faults: z.array(z.string().max(4000)).max(16).readonly().default([]),
  isProbed: z.boolean(),
  starts: z.boolean(),
});
export type ParameterCheck = z.infer<typeof parameterCheckSchema>;

export const requestSchema = z.union([
  z.strictObject({
    id: z.int(),
    method: z.enum(['describe', 'check', 'invoke']),
    params: z.record(z.string(), z.unknown()),
  }),
  z.strictObject({ abort: z.int() }),
]);
export type HostRequest = z.infer<typeof requestSchema>;

export const answerSchema = z.union([
  z.strictObject({ ready: z.literal(true) }),
  z.strictObject({ id: z.int(), result: z.unknown() }),
  z.strictObject({ id: z.int(), error: z.string() }),
]);
export type HostAnswer = z.infer<typeof answerSchema>;

/** One end of the socket pair. */
export class HostChannel {
  readonly #socket: Duplex;

  /** `onLine` gets every message, unchecked; `onEnd` is called once, also for a line without end. */
  constructor(socket: Duplex, onMessage: (message: unknown) => void, onEnd: () => void) {
    this.#socket = socket;
    const splitter = new LineSplitter(LINE_BYTES_MAX, (line) => onMessage(parsed(line)));
    socket.on('data', (chunk: Buffer) => {
      if (!splitter.push(chunk)) socket.destroy();
    });
    socket.on('error', () => socket.destroy());
    socket.once('close', onEnd);
  }

  /** False when the message is too long, or the other end does not read. */
  send(message: HostRequest | HostAnswer): boolean {
    const line = `${JSON.stringify(message)}\n`;
    if (this.#socket.destroyed || Buffer.byteLength(line) > LINE_BYTES_MAX) return false;
    if (this.#socket.writableLength > OUTPUT_BYTES_MAX) return false;
    this.#socket.write(line);
    return true;
  }

  close(): void {
    this.#socket.destroy();
  }
}

function parsed(line: string): unknown {
  try {
    return JSON.parse(line);
  } catch {
    return undefined;
  }
}
