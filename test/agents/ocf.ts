// Plays the contract with every OCF agent whose application is installed here, in namespaces of its own: `node test/agents/ocf.ts [heartbeat:pgsql …]` prints one JSON value per line.
import { execFileSync, spawnSync } from 'node:child_process';
import { messageOf } from '../../src/core/errors.ts';
import { possibleCases } from './ocf-cases.ts';
import { playContract } from './ocf-contract.ts';

const INSIDE = 'UNDERSTUDY_OCF_INSIDE';

if (process.env[INSIDE] === undefined) {
  // The shell is the first process there: it collects those that lost their parents, and all end with it.
  const shell = ['--mount-proc', '--', 'sh', '-c', '"$@" & wait $!', 'sh'];
  const argv = ['--net', '--mount', '--pid', '--fork', ...shell, process.execPath];
  const rest = [import.meta.filename, ...process.argv.slice(2)];
  const { status } = spawnSync('unshare', [...argv, ...rest], {
    stdio: 'inherit',
    env: { ...process.env, [INSIDE]: '1' },
  });
  process.exitCode = status ?? 1;
} else {
  execFileSync('ip', ['link', 'set', 'lo', 'up']);
  execFileSync('ip', ['link', 'add', 'test0', 'type', 'bridge']);
  execFileSync('ip', ['link', 'set', 'test0', 'up']);
  // What agents keep below /run is not the machine's.
  execFileSync('mount', ['-t', 'tmpfs', 'tmpfs', '/run']);
  execFileSync('mkdir', ['-p', '/run/resource-agents', '/run/lock', '/run/named']);
  const wanted = process.argv.slice(2);
  const cases = possibleCases().filter(
    ({ agent }) => wanted.length === 0 || wanted.includes(agent),
  );
  for (const one of cases) {
    try {
      console.log(JSON.stringify(await playContract(one)));
    } catch (failure) {
      console.log(JSON.stringify({ agent: one.agent, findings: [messageOf(failure)] }));
      process.exitCode = 1;
    }
  }
}
