// Parameters that several agents have in common, with one description each.
import { readFileSync } from 'node:fs';
import { isAbsolute } from 'node:path';
import { z } from 'zod';
import { messageOf } from '../../../core/errors.ts';

export const absolutePath = z
  .string()
  .max(4096)
  .refine((path) => isAbsolute(path), 'write an absolute path');

export const port = z.int().min(1).max(65_535);

/** `meta.secret` tells whoever shows parameters to hide the value. */
export const secret = z.string().max(1024).meta({ secret: true });

/** How a login proves itself: in the group, or in a file that only root reads. */
export const passwordParameters = {
  password: secret
    .optional()
    .describe('Password. It is kept in the definition of the group; a passwordFile is not'),
  passwordFile: absolutePath
    .optional()
    .describe('File whose first line is the password; readable by root only, on both nodes'),
};

export const userParameter = z
  .string()
  .max(64)
  .optional()
  .describe('User of the system that it runs as; default: the owner of its data directory');

export const unitParameter = z
  .string()
  .max(256)
  .optional()
  .describe('systemd unit that starts and stops it; it must be disabled at boot');

/** Seconds that a stop may take before the application is killed. */
export const stopPatience = z
  .number()
  .min(0)
  .max(3600)
  .default(20)
  .describe('After so many seconds a stop is made by force');

/** The password of `parameters`, or undefined. Errors: a passwordFile that cannot be read. */
export function passwordOf({
  password,
  passwordFile,
}: {
  readonly password?: string | undefined;
  readonly passwordFile?: string | undefined;
}): string | undefined {
  if (passwordFile === undefined) return password;
  try {
    return readFileSync(passwordFile, 'utf8').split('\n')[0] ?? '';
  } catch (cause) {
    throw new Error(
      `the passwordFile ${passwordFile} cannot be read: ${messageOf(cause)}. Create it on both nodes`,
      { cause },
    );
  }
}

/** One sentence when the passwordFile cannot be read. */
export function passwordFindings(parameters: Parameters<typeof passwordOf>[0]): string[] {
  try {
    passwordOf(parameters);
    return [];
  } catch (failure) {
    return [messageOf(failure)];
  }
}
