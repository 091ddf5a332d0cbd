import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { portRemedy, runDoctor } from './doctor.ts';
import { servicePaths } from './service-paths.ts';

describe('a port that cannot be listened on', () => {
  const remedyOf = (code: string): string =>
    portRemedy(Object.assign(new Error(code), { code }), '/etc/understudy/node.yaml');

  it('is looked for among programs only where one of them has it', () => {
    expect(remedyOf('EADDRINUSE')).toContain('ss -ltnp');
  });

  it('of an address that the machine does not have leads to its addresses', () => {
    expect(remedyOf('EADDRNOTAVAIL')).toBe(
      'correct "address" and "port" in /etc/understudy/node.yaml: "ip -br addr" shows the addresses of this machine',
    );
  });
});

it('what cannot be looked at (another user, a disk that fails) is told, and everything else too', async () => {
  const top = mkdtempSync(join(tmpdir(), 'understudy-doctor-'));
  const roots = { UNDERSTUDY_ETC: top, UNDERSTUDY_STATE: join(top, 'state'), UNDERSTUDY_RUN: top };
  const paths = servicePaths(roots);
  writeFileSync(paths.nodeConfig, '');
  mkdirSync(paths.daemonLock);
  mkdirSync(paths.state);
  writeFileSync(paths.groups, '');
  try {
    const findings = await runDoctor(paths);
    const faults = findings.filter(({ remedy }) => remedy?.startsWith('run this as root') === true);
    expect(faults.map(({ check, found }) => [check, found.slice(0, 7)])).toEqual([
      ['service', 'EISDIR:'],
      [`groups in ${paths.groups}`, 'ENOTDIR'],
    ]);
    expect(findings.map(({ check }) => check)).toContain('kernel');
  } finally {
    rmSync(top, { recursive: true });
  }
});
