// What a process says of itself is believed by nobody: anybody may start one that is called "postgres".
import { mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { proposeDatabase } from './databases.ts';

test('a link in the place of the version shows nothing of the file that it leads to', () => {
  const top = mkdtempSync(join(tmpdir(), 'understudy-databases-'));
  try {
    writeFileSync(join(top, 'secret'), 'root:$y$j9T$secret:20000:0:99999:7:::\n');
    symlinkSync(join(top, 'secret'), join(top, 'PG_VERSION'));
    const server = { pid: 7, program: `${top}/postgres`, arguments: ['postgres'], uid: 1000 };
    const around = { ports: [], sockets: [], unit: undefined, writes: [] };
    const proposal = proposeDatabase({ ...server, ...around, workingDirectory: top });
    expect(proposal?.found).toContain(top);
    expect(JSON.stringify(proposal)).not.toContain('secret:');
  } finally {
    rmSync(top, { recursive: true });
  }
});
