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

const PAPERS = '/srv/papers';

/** What is written on each step of the wizard; all of it is in order, so that the last step has nothing to complain about. */
const FILL: readonly ((page: Page, bed: ConsoleBed) => Promise<void>)[] = [
  async (page, bed) => {
    await page.locator(`input[type=radio][value="${bed.ids['a'] ?? ''}"]`).check();
    await page.locator('[data-step=source] button').first().click();
    // What it found, or that there is nothing.
    await page.locator('[data-step=source]').locator('.choice, [role=alert]').first().waitFor();
    await page.locator('[data-step=source] .mantine-TextInput-input').last().fill('papers');
  },
  async (page, bed) => {
    await bed.a.must(['sh', '-ec', `mkdir -p ${PAPERS}/cache; cd ${PAPERS}; touch a.tmp b.pdf`]);
    await page.locator('[data-path="0"] input').first().fill(PAPERS);
    await page.locator('[data-path="0"] textarea').last().fill('*.tmp\ncache/**');
    await page.locator('.preview-columns li').first().waitFor();
  },
  async (page) => {
    await page.locator('[data-step=application] button').last().click();
    await page.locator('[data-agent="0"] select').first().selectOption('command');
    for (const action of ['start', 'stop', 'probe']) {
      const field = page.locator(`[data-parameter=${action}]`);
      if (!(await field.isVisible())) await page.locator('[data-agent="0"] summary').click();
      await field.fill(`/bin/true ${action}`);
    }
  },
  async (page, bed) => {
    await page.locator('[data-step=address] button').last().click();
    const address = page.locator('[data-address="0"]');
    await address
      .locator('input')
      .first()
      .fill(`${bed.lab.freeAddress('lan', 220)}/24`);
    // Both cards are fields for text until their nodes have told which there are.
    await address.locator('select').nth(1).waitFor();
    await address.locator('select').first().selectOption('eth0');
    await address.locator('button').first().click();
    await address.locator('.level-badge').waitFor();
  },
  async (page) => {
    await page.locator('[data-step=protection] input[role=switch]').check();
    await page.locator('[data-step=protection] button').first().click();
  },
  async (page) => page.locator('.plan li').first().waitFor(),
];

/** Steps are gone to by the wizard's own button, whatever it says. */
async function wizard(page: Page, bed: ConsoleBed, last: number): Promise<void> {
  for (const [step, fill] of FILL.slice(0, last + 1).entries()) {
    await fill(page, bed);
    if (step < last) await page.locator('[data-step] ~ div button').last().click();
  }
}

export const PLACES: readonly Place[] = [
  { name: 'fleet', path: fixed('/') },
  ...['overview', 'charts', 'earlier', 'bandwidth', 'settings'].map((tab) => ({
    name: `group-${tab}`,
    path: groupPath(tab),
    ...(tab === 'settings'
      ? { act: async (page: Page) => page.locator('.save-bar').waitFor() }
      : {}),
  })),
  { name: 'nodes', path: fixed('/nodes') },
  { name: 'node-add', path: fixed('/nodes/add') },
  ...['overview', 'network', 'bandwidth', 'doctor', 'pairing'].map((tab) => ({
    name: `node-${tab}`,
    path: nodePath(tab),
  })),
  ...['source', 'directories', 'application', 'address', 'protection', 'summary'].map(
    (step, index) => ({
      name: `create-${index + 1}-${step}`,
      path: fixed('/create'),
      act: async (page: Page, bed: ConsoleBed) => wizard(page, bed, index),
    }),
  ),
  {
    name: 'create-browser',
    path: fixed('/create'),
    act: async (page, bed) => {
      await wizard(page, bed, 1);
      await page.locator('[data-path="0"] button').first().click();
      await page.getByRole('dialog').locator('li').first().waitFor();
    },
  },
  {
    name: 'group-takeover',
    path: groupPath('overview'),
    act: async (page) => {
      await page.locator('[aria-haspopup=menu]', { hasText: /./ }).last().click();
      await page.locator('[role=menuitem].dangerous').first().click();
      await page.getByRole('dialog').locator('input').first().waitFor();
    },
  },
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
