// Every place of the console, for pictures and for checks that hold everywhere.
import type { Page } from 'playwright-core';
import type { ConsoleBed } from './bed.ts';

export interface Place {
  readonly name: string;
  readonly path: (bed: ConsoleBed, groupId: string) => string;
  /** What is done there before the picture is taken. */
  readonly act?: (page: Page, bed: ConsoleBed) => Promise<void>;
}

const nodePath = (tab: string) => (bed: ConsoleBed) => `/nodes/${bed.ids['a'] ?? ''}/${tab}`;
const groupPath = (tab: string) => (_bed: ConsoleBed, group: string) => `/groups/${group}/${tab}`;
const fixed = (path: string) => () => path;

/** Steps of the wizard are gone to by its own button, whatever it says. */
async function wizard(page: Page, bed: ConsoleBed, steps: number): Promise<void> {
  await page.locator(`input[type=radio][value="${bed.ids['a'] ?? ''}"]`).check();
  await page.locator('[data-step=source] .mantine-TextInput-input').last().fill('files');
  for (let step = 0; step < steps; step += 1) {
    if (step === 1) {
      await page.locator('[data-path="0"] input').first().fill('/srv/files');
      await page.locator('[data-path="0"] textarea').last().fill('*.tmp\ncache/**');
    }
    if (step === 2) {
      await page.locator('[data-step=application] button').last().click();
      await page.locator('[data-agent="0"] select').first().selectOption('systemd');
      await page.locator('[data-parameter=unit]').fill('files.service');
    }
    if (step === 3) await page.locator('[data-step=address] button').last().click();
    if (step === 3) {
      await page
        .locator('[data-address="0"] input')
        .first()
        .fill(`${freeAddress(bed)}/24`);
      await page.locator('[data-address="0"] select').first().selectOption('eth0');
    }
    await page.locator('[data-step] ~ div button').last().click();
  }
}

function freeAddress(bed: ConsoleBed): string {
  return bed.lab.freeAddress('lan', 220);
}

export const PLACES: readonly Place[] = [
  { name: 'fleet', path: fixed('/') },
  ...['overview', 'charts', 'earlier', 'bandwidth', 'settings'].map((tab) => ({
    name: `group-${tab}`,
    path: groupPath(tab),
  })),
  { name: 'nodes', path: fixed('/nodes') },
  { name: 'node-add', path: fixed('/nodes/add') },
  ...['overview', 'network', 'bandwidth', 'doctor', 'pairing'].map((tab) => ({
    name: `node-${tab}`,
    path: nodePath(tab),
  })),
  ...['source', 'directories', 'application', 'address', 'protection'].map((step, index) => ({
    name: `create-${index + 1}-${step}`,
    path: fixed('/create'),
    act: async (page: Page, bed: ConsoleBed) => wizard(page, bed, index),
  })),
  { name: 'events', path: fixed('/events') },
  { name: 'alerts', path: fixed('/alerts') },
  {
    name: 'alerts-form',
    path: fixed('/alerts'),
    act: async (page) => {
      await page.locator('section.card button').first().click();
    },
  },
  { name: 'administration-users', path: fixed('/administration/users') },
  { name: 'administration-audit', path: fixed('/administration/audit') },
  { name: 'administration-tokens', path: fixed('/administration/tokens') },
  { name: 'account', path: fixed('/account') },
];
