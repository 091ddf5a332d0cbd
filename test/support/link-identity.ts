// Key and self-signed certificate of a node, as the service makes them.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { LinkIdentity } from '../../src/mirror/link/tls.ts';
import { createIdentity } from '../../src/service/identity.ts';
import { servicePaths } from '../../src/service/service-paths.ts';

export async function makeLinkIdentity(name: string): Promise<LinkIdentity> {
  const directory = mkdtempSync(join(tmpdir(), 'identity-'));
  try {
    const paths = servicePaths({ UNDERSTUDY_STATE: directory });
    const { certificate, key } = await createIdentity(paths, name);
    return { certificate, key };
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}
