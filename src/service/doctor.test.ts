import { describe, expect, it } from 'vitest';
import { portRemedy } from './doctor.ts';

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
