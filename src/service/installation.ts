// Where this program is, and which version it has.
import { readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { z } from 'zod';

/** The directory that holds this program; it can never be protected. */
export const INSTALLATION = resolve(import.meta.dirname, '../..');

/** Version of this installation, from package.json. */
export function installedVersion(): string {
  const text = readFileSync(join(INSTALLATION, 'package.json'), 'utf8');
  return z.object({ version: z.string() }).parse(JSON.parse(text)).version;
}

/** What a process runs, for its status: one that was started before an upgrade runs the former program. */
export const PROGRAM = { version: installedVersion(), installation: INSTALLATION } as const;
