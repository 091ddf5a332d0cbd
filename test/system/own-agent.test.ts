// docs/write-an-agent.md, followed literally: its files are written, its commands run, on a fresh pair.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { CHECKOUT } from '../../lab/enter.ts';
import type { LabHost } from '../../lab/host.ts';
import { virtualAddress } from '../../lab/managed.ts';
import { GATEWAY_NUMBER, interfaceOf } from '../../lab/network.ts';
import { askGroup } from '../../lab/node-admin.ts';
import { waitUntil } from '../../lab/run.ts';
import { PairUnderTest } from './pair-under-test.ts';

const PAGE = join(CHECKOUT, 'docs/write-an-agent.md');
const STEP_TIMEOUT_MS = 180_000;
const PATIENCE_MS = 120_000;

interface Block {
  readonly kind: string;
  readonly text: string;
}

function blocksOf(page: string): Block[] {
  return [...page.matchAll(/^```(\w+)\n([\s\S]*?)^```$/gm)].map(([, kind = '', text = '']) => ({
    kind,
    text,
  }));
}

/** The file that a block is to be, by its first line. */
function fileOf({ text }: Block): string | undefined {
  return /^(?:#|\/\/) (\/\S+)\n/.exec(text)?.[1];
}

async function put(host: LabHost, path: string, text: string): Promise<void> {
  await host.must(['sh', '-c', 'mkdir -p "$(dirname "$1")" && cat > "$1"', 'sh', path], {
    input: text,
  });
}

/** What an operator types; copying between the servers is done from outside. */
async function type(pair: PairUnderTest, line: string): Promise<string> {
  const copy = /^scp (\S+) b:(\S+)$/.exec(line);
  if (copy === null) return pair.a.must(['sh', '-ec', line], { timeoutMs: STEP_TIMEOUT_MS });
  const [, from = '', to = ''] = copy;
  await put(pair.b, to, await pair.a.must(['cat', from]));
  return '';
}

test('from nothing to a protected application, and to the other server when the first is gone', async () => {
  await PairUnderTest.with(async (pair) => {
    const { a, b, lab } = pair;
    const address = virtualAddress(lab);
    const page = readFileSync(PAGE, 'utf8')
      .replaceAll('192.0.2.10', address)
      .replaceAll('192.0.2.1', lab.freeAddress('lan', GATEWAY_NUMBER))
      .replaceAll('interface: eth0', `interface: ${interfaceOf('lan')}`);
    const said: string[] = [];
    for (const block of blocksOf(page)) {
      const file = fileOf(block);
      if (file !== undefined) await put(a, file, block.text);
      else if (block.kind === 'sh') {
        for (const line of block.text.trim().split('\n')) said.push(await type(pair, line));
      }
    }
    const all = said.join('\n');
    expect(all.match(/keeps the contract \(21 passed, 0 failed, 0 skipped\)/g)).toHaveLength(3);
    expect(all).toContain('agent "till" (till)');

    const ask = async (): Promise<string> => {
      const url = `http://${address}:8123/state.txt`;
      const client = lab.host('client');
      return (await client.exec(['curl', '-s', '--max-time', '3', url])).stdout.trim();
    };
    expect(await waitUntil(async () => (await ask()) === 'open', PATIENCE_MS, 200)).toBe(true);
    await a.powerOff();
    const hasMoved = async (): Promise<boolean> =>
      (await askGroup(b, 'till'))?.role === 'primary' && (await ask()) === 'open';
    expect(await waitUntil(hasMoved, PATIENCE_MS, 200)).toBe(true);
  });
}, 400_000);
