// Plays the contract with every OCF agent whose application is installed here, in namespaces of its own: `node test/agents/ocf.ts [heartbeat:pgsql …]` prints one JSON value per line.
import { execFileSync } from 'node:child_process';
import { messageOf } from '../../src/core/errors.ts';
import { installed } from './installed.ts';
import { isInside } from './inside.ts';
import { ocfCases } from './ocf-cases.ts';
import { playContract } from './ocf-contract.ts';

if (isInside(import.meta.filename)) {
  execFileSync('ip', ['link', 'add', 'test0', 'type', 'bridge']);
  execFileSync('ip', ['link', 'set', 'test0', 'up']);
  execFileSync('mkdir', ['-p', '/run/resource-agents', '/run/lock', '/run/named']);
  const wanted = process.argv.slice(2);
  const chosen = ocfCases.filter(({ agent }) => wanted.length === 0 || wanted.includes(agent));
  const cases = installed(chosen, ({ agent, needs = [] }) => ({
    name: agent,
    needs: [`/usr/lib/ocf/resource.d/${agent.replace(':', '/')}`, needs].flat(),
  }));
  for (const one of cases) {
    try {
      console.log(JSON.stringify(await playContract(one)));
    } catch (failure) {
      console.log(JSON.stringify({ agent: one.agent, findings: [messageOf(failure)] }));
      process.exitCode = 1;
    }
  }
}
