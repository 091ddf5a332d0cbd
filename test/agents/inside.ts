// Runs a script of this directory once more in namespaces of its own: network, mounts, processes, and an empty /run.
import { execFileSync, spawnSync } from 'node:child_process';

const INSIDE = 'UNDERSTUDY_AGENTS_INSIDE';

/** True inside. Outside it runs `script` inside, with the arguments of this process, and takes over its exit code. */
export function isInside(script: string): boolean {
  if (process.env[INSIDE] !== undefined) {
    execFileSync('ip', ['link', 'set', 'lo', 'up']);
    // What agents keep below /run is not the machine's.
    execFileSync('mount', ['-t', 'tmpfs', 'tmpfs', '/run']);
    return true;
  }
  // The shell is the first process there: it collects those that lost their parents, and all end with it.
  const shell = ['--mount-proc', '--', 'sh', '-c', '"$@" & wait $!', 'sh'];
  const argv = ['--net', '--mount', '--pid', '--fork', '--kill-child', ...shell, process.execPath];
  const { status } = spawnSync('unshare', [...argv, script, ...process.argv.slice(2)], {
    stdio: 'inherit',
    env: { ...process.env, [INSIDE]: '1' },
  });
  process.exitCode = status ?? 1;
  return false;
}
