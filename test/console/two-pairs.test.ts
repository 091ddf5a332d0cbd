// One console by itself, with two pairs in one network: both in one list, each worked on by its own nodes, and when one of them is in
// trouble the other one stays what it is. UNDERSTUDY_LONG=1.
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { LabHost } from '../../lab/host.ts';
import { askGroup } from '../../lab/node-admin.ts';
import { understudy, waitForCopy } from '../../lab/pair.ts';
import { ask, ConsoleBed } from './bed.ts';

const long = process.env['UNDERSTUDY_LONG'] === '1';
const PAIRS = [
  ['a', 'b'],
  ['c', 'd'],
] as const;
const STEP_MS = 90_000;
const BED_TIMEOUT_MS = 300_000;

let bed: ConsoleBed;

describe.runIf(long)('two pairs', () => {
  beforeAll(async () => {
    bed = await ConsoleBed.up({ pairs: PAIRS });
    for (const [first] of PAIRS) await protect(bed.lab.host(first));
  }, BED_TIMEOUT_MS);
  afterAll(async () => {
    await bed.down();
  });

  test('both pairs are in one list, and a group is worked on by its own nodes', async () => {
    const page = await bed.open('/');
    for (const [first, second] of PAIRS) {
      const row = page.locator('.fleet-row', { hasText: groupOf(first) });
      await row.locator('.fleet-roles', { hasText: `Primary: ${first}` }).waitFor();
      await row.locator('.fleet-roles', { hasText: `Standby: ${second}` }).waitFor();
    }
    await page.getByText('4/4').waitFor();
    await page.getByRole('link', { name: groupOf('c'), exact: true }).click();
    await page.getByRole('button', { name: 'Switch over' }).click();
    await page.getByLabel(/To confirm, type/).fill(groupOf('c'));
    await page.getByRole('dialog').getByRole('button', { name: 'Switch over' }).click();
    await page.locator('.node-box[data-role=primary]', { hasText: /^d/ }).waitFor();
    await waitForCopy(bed.lab.host('d'), groupOf('c'), STEP_MS);
    expect((await askGroup(bed.lab.host('a'), groupOf('a')))?.role).toBe('primary');
    // The wizard offers each pair's nodes with their own partners.
    await page.goto(`${bed.url}create`);
    for (const label of ['a (standby: b)', 'd (standby: c)']) {
      await page.getByRole('radio', { name: label }).waitFor();
    }
    await page.context().close();
  });

  test('one pair loses a server: it comes first, the other one is as before', async () => {
    const page = await bed.open('/');
    await bed.lab.host('a').powerOff();
    const rows = page.locator('.fleet-row');
    const broken = page.locator('.fleet-row[data-level=error]', { hasText: groupOf('a') });
    await broken.waitFor({ timeout: STEP_MS });
    await page.getByText('3/4').waitFor({ timeout: STEP_MS });
    expect(await rows.first().textContent()).toContain(groupOf('a'));
    expect(await rows.last().getAttribute('data-level')).toBe('ok');
    await page.getByRole('link', { name: groupOf('a'), exact: true }).click();
    await page.getByRole('button', { name: 'More' }).click();
    await page.getByRole('menuitem', { name: 'Take over' }).click();
    const dialog = page.getByRole('dialog');
    await dialog.getByLabel('I am sure that a is off').check();
    await dialog.getByLabel(/To confirm, type/).fill(groupOf('a'));
    if (await dialog.getByLabel(/Send it anyway/).isVisible()) {
      await dialog.getByLabel(/Send it anyway/).check();
    }
    await dialog.getByRole('button', { name: 'Take over' }).click();
    await page.locator('.node-box[data-role=primary]', { hasText: /^b/ }).waitFor();
    await bed.lab.host('a').boot();
    await waitForCopy(bed.lab.host('b'), groupOf('a'), STEP_MS);
    await page.goto(bed.url);
    await page.locator('.fleet-row[data-level=ok]').nth(1).waitFor({ timeout: STEP_MS });
    const { counts } = await ask<{ counts: object }>(page, '/fleet');
    expect(counts).toMatchObject({ nodes: 4, nodesUnreachable: 0, groups: 2 });
    await page.context().close();
    expect(bed.complaints).toEqual([]);
  });
});

const groupOf = (first: string): string => `files-of-${first}`;

async function protect(host: LabHost): Promise<void> {
  const [name, directory] = [groupOf(host.name), '/srv/files'];
  await host.must(['sh', '-ec', `mkdir ${directory}; echo ${host.name} > ${directory}/whose`]);
  await understudy(host, ['group', 'create', '--name', name, '--dir', directory], {
    timeoutMs: STEP_MS,
  });
  await waitForCopy(host, name, STEP_MS);
}
