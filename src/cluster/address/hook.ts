// The program that moves an address where ARP cannot: clouds, routed networks. It is called with
// `take` or `release`, the address, the prefix and the interface, and must be idempotent: it is
// called again after a restart.
import { spawn } from 'node:child_process';
import { accessSync, constants, statSync } from 'node:fs';
import { isAbsolute } from 'node:path';
import { messageOf, UnderstudyError } from '../../core/errors.ts';
import type { VirtualAddress } from './virtual-address.ts';

const OUTPUT_BYTES_MAX = 4096;

export interface HookContext {
  readonly group: string;
  readonly timeoutMs: number;
}

/** Errors: ADDRESS_HOOK_UNUSABLE. */
export function checkHook(hook: string): void {
  try {
    if (!isAbsolute(hook)) throw new TypeError('write its path from the root');
    if (!statSync(hook).isFile()) throw new TypeError('it is not a file');
    accessSync(hook, constants.X_OK);
  } catch (cause) {
    throw new UnderstudyError(
      'ADDRESS_HOOK_UNUSABLE',
      `the hook "${hook}" cannot be run (${messageOf(cause)}): install an executable program there on both nodes`,
      { cause },
    );
  }
}

/** Runs the hook; returns what went wrong, or undefined. */
export async function runHook(
  action: 'take' | 'release',
  address: VirtualAddress,
  context: HookContext,
): Promise<string | undefined> {
  const { hook, ip, prefix } = address;
  if (hook === undefined) return undefined;
  return new Promise((resolve) => {
    const child = spawn(hook, [action, ip, String(prefix), address.interface], {
      cwd: '/',
      detached: true,
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...process.env, UNDERSTUDY_GROUP: context.group, UNDERSTUDY_ACTION: action },
    });
    let output = '';
    const keep = (chunk: Buffer): void => {
      output = `${output}${chunk.toString('utf8')}`.slice(-OUTPUT_BYTES_MAX);
    };
    child.stdout.on('data', keep);
    child.stderr.on('data', keep);
    const fail = (why: string): void => {
      clearTimeout(deadline);
      const said = output.trim();
      resolve(`hook "${hook} ${action} ${ip}" ${why}${said === '' ? '' : `: ${said}`}`);
    };
    const deadline = setTimeout(() => {
      if (child.pid !== undefined) endProcessGroup(child.pid);
      fail(`was not done within ${context.timeoutMs} ms`);
    }, context.timeoutMs);
    child.once('error', (error) => fail(`cannot be run: ${error.message}`));
    // Not "close": something that the hook left in the background may keep its output open.
    child.once('exit', (code, signal) => {
      child.stdout.destroy();
      child.stderr.destroy();
      if (code !== 0) return fail(`ended with ${signal ?? `exit code ${code}`}`);
      clearTimeout(deadline);
      resolve(undefined);
    });
  });
}

function endProcessGroup(pid: number): void {
  try {
    process.kill(-pid, 'SIGKILL');
  } catch {
    // It ended by itself in this moment.
  }
}
