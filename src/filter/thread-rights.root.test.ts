import { readFileSync } from 'node:fs';
import { Worker } from 'node:worker_threads';
import { describe, expect, it } from 'vitest';

const CAP_CHOWN = 0;

interface Seen {
  readonly capabilities: string;
  readonly umask: string;
}

/** What `/proc` says of a thread of this process. */
function statusOf(thread: string): Seen {
  const status = readFileSync(`/proc/${thread}/status`, 'latin1');
  const field = (name: string): string =>
    new RegExp(`^${name}:\\s*(\\S+)`, 'm').exec(status)?.[1] ?? '';
  return { capabilities: field('CapEff'), umask: field('Umask') };
}

const hasCapability = (seen: Seen): boolean =>
  (BigInt(`0x${seen.capabilities}`) & (1n << BigInt(CAP_CHOWN))) !== 0n;

describe('isolateThread', () => {
  it('changes umask and capabilities of its own thread only', async () => {
    const rights = new URL('thread-rights.ts', import.meta.url).href;
    const libc = new URL('../linux/libc.ts', import.meta.url).href;
    const script = `
      import { readFileSync } from 'node:fs';
      import { parentPort } from 'node:worker_threads';
      const { dropCapability, isolateThread } = await import(${JSON.stringify(rights)});
      const { sys } = await import(${JSON.stringify(libc)});
      isolateThread();
      dropCapability(${CAP_CHOWN});
      sys.umask(0o123);
      parentPort.postMessage(readFileSync('/proc/thread-self/status', 'latin1'));
    `;
    const before = statusOf('self');
    const worker = new Worker(new URL(`data:text/javascript,${encodeURIComponent(script)}`));
    const inside = await new Promise<string>((resolve, reject) => {
      worker.on('message', resolve);
      worker.on('error', reject);
    });
    await worker.terminate();
    expect(hasCapability(before)).toBe(true);
    expect(/^Umask:\s*0123/m.test(inside)).toBe(true);
    const capabilities = /^CapEff:\s*(\S+)/m.exec(inside)?.[1] ?? '';
    expect(hasCapability({ capabilities, umask: '' })).toBe(false);
    expect(statusOf('self')).toEqual(before);
  });
});
