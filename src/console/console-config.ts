// `/etc/understudy/console.yaml`: where a stand-alone console listens. Without it, on this machine only.
import { existsSync, readFileSync } from 'node:fs';
import { isIP } from 'node:net';
import { z } from 'zod';
import { messageOf, UnderstudyError } from '../core/errors.ts';
import { parseStrictly } from '../core/strict-config.ts';
import { portSchema } from '../service/group-spec.ts';
import { parseYaml } from '../service/node-config.ts';
import type { ConsolePaths } from './console-paths.ts';

export const CONSOLE_PORT_DEFAULT = 7443;

const configSchema = z.strictObject({
  address: z
    .string()
    .refine((text) => isIP(text) !== 0, 'must be an IP address')
    .default('127.0.0.1'),
  port: portSchema.default(CONSOLE_PORT_DEFAULT),
  /** PEM files; without them, one is made for this console. */
  tls: z.strictObject({ certificate: z.string().max(4096), key: z.string().max(4096) }).optional(),
});
export type ConsoleConfig = z.infer<typeof configSchema>;

/** Errors: CONFIG_INVALID. */
export function readConsoleConfig({ config }: ConsolePaths): ConsoleConfig {
  const value = existsSync(config) ? parseYaml(readFileSync(config, 'utf8'), config) : {};
  return parseStrictly(configSchema, value ?? {}, { code: 'CONFIG_INVALID', origin: config });
}

/** On the loopback address nobody listens in: there, and only there, it works without TLS. */
export function needsTls({ address, tls }: ConsoleConfig): boolean {
  return tls !== undefined || !isLoopback(address);
}

export function isLoopback(address: string): boolean {
  return address === '::1' || address.startsWith('127.');
}

/** Errors: FILE_UNREADABLE. */
export function readPem(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (cause) {
    throw new UnderstudyError('FILE_UNREADABLE', `cannot read ${path}: ${messageOf(cause)}`, {
      cause,
    });
  }
}
