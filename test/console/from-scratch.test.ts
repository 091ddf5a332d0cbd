// The console in a real browser, from two machines that know nobody to what one hopes never to need: nodes are added and paired, an application
// is found and protected, settings change, alerts go out; then going back, a halt, a split brain and its end. One bed, in this order.
// The whole file: UNDERSTUDY_LONG=1 (vitest.config.ts).
import { existsSync, readdirSync, readFileSync, realpathSync } from 'node:fs';
import { join } from 'node:path';
import { Secret, TOTP } from 'otpauth';
import type { Locator, Page } from 'playwright-core';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { NODE } from '../../lab/demo/application.ts';
import type { LabHost } from '../../lab/host.ts';
import { askEvents, askGroup } from '../../lab/node-admin.ts';
import { understudy, waitForCopy } from '../../lab/pair.ts';
import { waitUntil } from '../../lab/run.ts';
import type { GroupDefinition } from '../../src/service/group-definition.ts';
import { accessToken, ask, ConsoleBed, PASSWORD, USERS } from './bed.ts';
import { faultAt } from './faults.ts';

const long = process.env['UNDERSTUDY_LONG'] === '1';
const GROUP = 'files';
const DIRECTORY = '/srv/files';
const APPLICATION = 'desk';
const APPLICATION_PORT = 8123;
const PROGRAM = '/srv/desk/desk.mjs';
/** As discovery finds it in the process. */
const RUN = `${realpathSync(NODE)} ${PROGRAM}`;
const FILES = 40;
const STEP_MS = 60_000;
const BED_TIMEOUT_MS = 240_000;

let bed: ConsoleBed;
/** The console's ids of the nodes, by name. */
let ids: Record<string, string> = {};

beforeAll(async () => {
  bed = await ConsoleBed.up({ pairs: [], strangers: ['a', 'b'] });
}, BED_TIMEOUT_MS);
afterAll(async () => {
  await bed.down();
});

const shell = async (host: LabHost, script: string): Promise<string> =>
  host.must(['sh', '-ec', script]);

/** A path of a host as it is seen from here. */
const there = (host: LabHost, path: string): string => host.pathFromOutside(path);

async function openGroup(tab = ''): Promise<Page> {
  const page = await bed.open('/');
  await page.getByRole('link', { name: GROUP, exact: true }).click();
  await page.getByRole('heading', { level: 1, name: GROUP }).waitFor();
  if (tab !== '') await page.getByRole('tab', { name: tab }).click();
  return page;
}

const primaryShown = (page: Page, name: string): Locator =>
  page.locator('.node-box[data-role=primary]', { hasText: name });

/** The name is asked for, and a wrong one does not do. */
async function confirmByName(page: Page, submit: string): Promise<void> {
  const dialog = page.getByRole('dialog');
  const button = dialog.getByRole('button', { name: submit, exact: true });
  await dialog.getByLabel(/To confirm, type/).fill('shop');
  expect(await button.isDisabled()).toBe(true);
  await dialog.getByLabel(/To confirm, type/).fill(GROUP);
  await button.click();
}

async function definition(page: Page, node: string): Promise<GroupDefinition> {
  const path = `/nodes/${ids[node] ?? ''}/api/v1/groups/${GROUP}`;
  return (await ask<{ definition: GroupDefinition }>(page, path)).definition;
}

test('two nodes are added by the fingerprints of their certificates, and paired', async () => {
  const page = await bed.open('/');
  for (const host of [bed.a, bed.b]) {
    await page.getByRole('link', { name: 'Add node' }).first().click();
    await page.getByLabel('Address').fill(host.address('lan'));
    await page.getByRole('button', { name: 'Next' }).click();
    const shown = (await page.locator('[data-fingerprint]').textContent())?.replaceAll(' ', '');
    const said = await host.exec(['understudy', 'token', 'create', 'look', '--role', 'viewer']);
    expect(said.stderr).toContain(`certificate of this node: ${shown ?? '-'}`);
    await page.getByLabel('I have compared them').check();
    const add = page.getByRole('button', { name: 'Add a node' });
    await page.getByLabel('Access token').fill('ust1.0123456789abcdef.nonsense');
    await add.click();
    expect(await faultAt(page.getByLabel('Access token'))).not.toBe('');
    await page.getByLabel('Access token').fill(await accessToken(host));
    await add.click();
    await page.getByText(`${host.name} was added.`).waitFor();
    await page.goto(bed.url);
  }
  const { nodes } = await ask<{ nodes: { id: string; name: string }[] }>(page, '/fleet');
  ids = Object.fromEntries(nodes.map(({ id, name }) => [name, id]));

  await page.goto(`${bed.url}nodes/${ids['a'] ?? ''}/pairing`);
  await page.getByRole('button', { name: 'Make a token' }).click();
  const token = (await page.locator('[data-secret]').textContent()) ?? '';
  await page.goto(`${bed.url}nodes/${ids['b'] ?? ''}/pairing`);
  await page.getByLabel('Pairing token of the other node').fill('usy1.nonsense');
  await page.getByRole('button', { name: 'Join', exact: true }).click();
  expect(await faultAt(page.getByLabel('Pairing token of the other node'))).not.toBe('');
  await page.getByLabel('Pairing token of the other node').fill(token);
  await page.getByRole('button', { name: 'Join', exact: true }).click();
  await page.getByText('b and a trust each other').waitFor();
  await page.context().close();
});

test.runIf(long)(
  'an application is found, stopped, and protected with its agent, which starts it again',
  async () => {
    const program = [
      "import { createServer } from 'node:http'; import { openSync } from 'node:fs';",
      "openSync('/srv/desk/orders/log', 'a');",
      `createServer((q, r) => r.end('desk')).listen(${APPLICATION_PORT});`,
    ].join('\n');
    for (const host of [bed.a, bed.b]) {
      await host.must(['mkdir', '-p', '/srv/desk']);
      await host.must(['tee', PROGRAM], { input: program });
    }
    await bed.a.must(['mkdir', '/srv/desk/orders']);
    const running = bed.a.spawn([NODE, PROGRAM], { stdio: 'ignore' });
    const page = await bed.open('/create');
    try {
      await page.getByRole('radio', { name: 'a (standby: b)' }).check();
      const look = page.getByRole('button', { name: 'Look for applications' });
      const found = page.getByRole('button', { name: new RegExp(`port ${APPLICATION_PORT}`) });
      await expect
        .poll(
          async () => {
            await look.click();
            await page.waitForTimeout(2000);
            return found.count();
          },
          { timeout: STEP_MS },
        )
        .toBe(1);
      await found.click();
    } finally {
      running.kill();
      await running.ended;
    }
    expect(await page.getByLabel('Name of the group').inputValue()).toBe(APPLICATION);
    const next = page.getByRole('button', { name: 'Next' });
    await next.click();
    expect(await page.locator('[data-path="0"] input').first().inputValue()).toBe(
      '/srv/desk/orders',
    );
    await next.click();
    const run = await page.locator('[data-parameter=run]').inputValue();
    expect(run).toBe(RUN);
    for (let step = 0; step < 3; step += 1) await next.click();
    await page.getByText('a and b have found nothing in the way').waitFor({ timeout: STEP_MS });
    await page.getByRole('button', { name: `Create group ${APPLICATION}` }).click();
    await page.getByText('Copy complete').waitFor({ timeout: STEP_MS });
    const answers = async (): Promise<boolean> => {
      const url = `http://127.0.0.1:${APPLICATION_PORT}/`;
      return (await bed.a.exec(['curl', '-s', '-m', '2', url])).stdout === 'desk';
    };
    expect(await waitUntil(answers, STEP_MS, 300), 'the agent starts it').toBe(true);
    await page.context().close();
  },
);

test('settings: what both nodes refuse stands at its field, the rest is in force on both', async () => {
  await shell(
    bed.a,
    `mkdir -p ${DIRECTORY}; cd ${DIRECTORY}; for i in $(seq ${FILES}); do echo one > file-$i; done`,
  );
  await understudy(bed.a, ['group', 'create', '--name', GROUP, '--dir', DIRECTORY], {
    timeoutMs: STEP_MS,
  });
  await waitForCopy(bed.a, GROUP, STEP_MS);
  const page = await openGroup('Settings');
  const setting = (name: string): Locator => page.locator(`[data-setting="${name}"]`);
  const save = page.getByRole('button', { name: 'Save' });
  expect(await save.isDisabled()).toBe(true);
  await setting('replication.journal').fill('1 MiB');
  await setting('replication.linkTimeout').fill('soon');
  await setting('safety.deletions.files').fill('5');
  await setting('safety.deletions.within').fill('1s');
  await setting('replication.undo.hours').fill('-1');
  await save.click();
  // One fault after the other: the node looks at the form first, then at what it means.
  expect(await faultAt(setting('replication.undo.hours'))).toContain('expected number to be >0');
  await setting('replication.undo.hours').fill('48');
  await save.click();
  expect(await faultAt(setting('replication.linkTimeout'))).toContain('write for example');
  await setting('replication.linkTimeout').fill('3s');
  await save.click();
  expect(await faultAt(setting('replication.journal'))).toContain('Too small');
  await setting('replication.journal').fill('1 GiB');
  await setting('replication.compression').selectOption('off');
  await setting('verify').selectOption('30d');
  await save.click();
  await page.getByText('The settings were saved on both nodes.').waitFor({ timeout: STEP_MS });
  for (const node of ['a', 'b']) {
    expect(await definition(page, node)).toMatchObject({
      replication: {
        journalBytesMax: 1024 ** 3,
        linkTimeoutMs: 3000,
        undo: { hours: 48, diskPercent: 10 },
        compression: 'off',
      },
      safety: { deletions: { filesMin: 5, share: 0.5, windowMs: 1000 }, guard: 'alarm' },
      verifyEveryMs: 30 * 86_400_000,
    });
  }
  expect(await setting('replication.undo.hours').inputValue()).toBe('48');
  expect(await save.isDisabled()).toBe(true);
  await page.context().close();
});

test.runIf(long)(
  'how an application is probed changes while it runs; when it starts is fixed',
  async () => {
    const page = await bed.open('/');
    await page.getByRole('link', { name: APPLICATION, exact: true }).click();
    await page.getByRole('tab', { name: 'Settings' }).click();
    const setting = (name: string): Locator => page.locator(`[data-setting="agents[0].${name}"]`);
    await setting('probeInterval').fill('often');
    expect(await setting('startTimeout').isDisabled()).toBe(true);
    await page.getByRole('button', { name: 'Save' }).click();
    expect(await faultAt(setting('probeInterval'))).toContain('not a duration');
    await setting('probeInterval').fill('2s');
    await page.getByRole('button', { name: 'Save' }).click();
    await page.getByText('The settings were saved on both nodes.').waitFor({ timeout: STEP_MS });
    const path = `/nodes/${ids['b'] ?? ''}/api/v1/groups/${APPLICATION}`;
    const { definition: kept } = await ask<{ definition: GroupDefinition }>(page, path);
    expect(kept.agents).toMatchObject([
      { use: 'supervised', probeIntervalMs: 2000, parameters: { run: RUN } },
    ]);
    await page.context().close();
  },
);

/** A webhook on the client, which keeps what it is sent. */
async function webhook(work: (url: string, log: () => string) => Promise<void>): Promise<void> {
  const client = bed.lab.host('client');
  const program = `require('node:http').createServer((q, r) => {
    q.on('data', (d) => process.stdout.write(d)); q.on('end', () => r.end()); }).listen(9000)`;
  const server = client.spawn([NODE, '-e', program]);
  let heard = '';
  server.child.stdout?.on('data', (chunk: Buffer) => {
    heard += chunk.toString();
  });
  try {
    await work(`http://${client.address('lan')}:9000/hook`, () => heard);
  } finally {
    server.kill();
    await server.ended;
  }
}

test('a channel is made on both nodes, and its test arrives; one that nobody answers says so', async () => {
  await webhook(async (url, heard) => {
    const page = await bed.open('/alerts');
    await page.getByRole('button', { name: 'Add a channel' }).click();
    const dialog = page.getByRole('dialog');
    await dialog.getByLabel('Kind').selectOption('webhook');
    await dialog.getByRole('textbox', { name: 'Name', exact: true }).fill('operators');
    await dialog.getByLabel('URL').fill(url);
    await dialog.getByRole('button', { name: 'Save' }).click();
    await page.getByText('operators is set.').waitFor();
    await page.getByRole('button', { name: 'Send a test message through operators' }).click();
    await page.getByText('The test message was taken by operators.').waitFor();
    await expect.poll(heard, { timeout: 10_000 }).toContain('"subject"');
    const other = `/nodes/${ids['b'] ?? ''}/api/v1/alerts`;
    expect(await ask(page, other)).toMatchObject({ channels: [{ name: 'operators', url }] });

    await page.getByRole('button', { name: 'Change operators' }).click();
    await dialog.getByLabel('URL').fill(url.replace(':9000', ':9001'));
    await dialog.getByRole('button', { name: 'Save' }).click();
    await dialog.waitFor({ state: 'detached' });
    await page.getByRole('button', { name: 'Send a test message through operators' }).click();
    await page
      .getByRole('row', { name: /operators/ })
      .getByRole('alert')
      .waitFor();
    await page.getByRole('button', { name: 'Remove operators?' }).click();
    await page.getByRole('dialog').getByRole('button', { name: 'Remove' }).click();
    await page.getByText('operators was removed.').waitFor();
    await page.context().close();
  });
});

test('an authenticator app is set up, and a login needs its code from then on', async () => {
  const page = await bed.open('/account', { role: 'viewer' });
  await page.getByLabel('Present password').last().fill(PASSWORD);
  await page.getByRole('button', { name: 'Set up' }).click();
  const secret = (await page.locator('.secret').textContent())?.replaceAll(/\s/g, '') ?? '';
  const totp = new TOTP({ secret: Secret.fromBase32(secret) });
  await page.getByLabel('Code of the authenticator app').fill('000000');
  await page.getByRole('button', { name: 'Confirm' }).click();
  expect(await faultAt(page.getByLabel('Code of the authenticator app'))).not.toBe('');
  await page.getByLabel('Code of the authenticator app').fill(totp.generate());
  await page.getByRole('button', { name: 'Confirm' }).click();
  await page.getByText('From now on a login needs a code of the app.').waitFor();
  await page.context().close();

  const door = await bed.door();
  await door.getByLabel('Name').fill(USERS.viewer);
  await door.getByLabel('Password', { exact: true }).fill(PASSWORD);
  await door.getByRole('button', { name: 'Log in' }).click();
  const code = door.getByLabel('Code of the authenticator app');
  await code.fill('000000');
  await door.getByRole('button', { name: 'Log in' }).click();
  await door.getByRole('alert').waitFor();
  // A code counts once: this is the one of the next half minute, which is taken as well.
  await code.fill(totp.generate({ timestamp: Date.now() + 30_000 }));
  await door.getByRole('button', { name: 'Log in' }).click();
  await door.getByRole('link', { name: GROUP, exact: true }).waitFor();
  await door.context().close();
});

test('going back: a bookmark, a look at it, and the group as of then on the other node', async () => {
  const page = await openGroup('Earlier states');
  await page.getByRole('button', { name: 'Set bookmark' }).click();
  const dialog = page.getByRole('dialog');
  await dialog.getByLabel('Name').fill('before');
  await dialog.getByRole('button', { name: 'Set bookmark' }).click();
  await page.getByText('The bookmark was set.').waitFor({ timeout: STEP_MS });
  const bookmark = page.locator('.bookmarks li', { hasText: 'before' });
  await bookmark.waitFor();
  await shell(bed.a, `cd ${DIRECTORY}; echo two > file-1; sync`);

  await bookmark.getByRole('button', { name: 'Look at it' }).click();
  await dialog.getByLabel('Directory on the standby').fill('/srv/look');
  await dialog.getByRole('button', { name: 'Make the directory' }).click();
  await page.getByText('The data is in /srv/look on b.').waitFor({ timeout: STEP_MS });
  expect(readFileSync(there(bed.b, '/srv/look/file-1'), 'utf8')).toBe('one\n');
  expect(readFileSync(there(bed.b, `${DIRECTORY}/file-1`), 'utf8')).toBe('two\n');

  await bookmark.getByRole('button', { name: 'Go back to it' }).click();
  await dialog.getByText('Everything written after that moment is given up').waitFor();
  await confirmByName(page, 'Go back');
  await page.getByText(`${GROUP} was taken back.`).waitFor({ timeout: STEP_MS });
  await dialog.waitFor({ state: 'detached' });
  await page.getByRole('tab', { name: 'Overview' }).click();
  await primaryShown(page, 'b').waitFor();
  await waitForCopy(bed.b, GROUP, STEP_MS);
  for (const host of [bed.a, bed.b]) {
    expect(readFileSync(there(host, `${DIRECTORY}/file-1`), 'utf8')).toBe('one\n');
  }
  await page.context().close();
});

/** Of the application, on the copy. */
const filesOn = (host: LabHost): number =>
  readdirSync(there(host, DIRECTORY)).filter((name) => name.startsWith('file-')).length;

test('nearly everything is removed: the copy halts and keeps it, until somebody lets it go on', async () => {
  const page = await openGroup();
  await shell(bed.b, `cd ${DIRECTORY}; for i in $(seq 2 ${FILES}); do rm file-$i; done`);
  const problem = page.locator('.problem', { hasText: 'Applying is halted' });
  await problem.waitFor({ timeout: STEP_MS });
  expect(filesOn(bed.b)).toBe(1);
  // Single ones may have been followed before it was seen that it is many.
  expect(filesOn(bed.a)).toBeGreaterThan(FILES / 2);
  await problem.getByRole('button', { name: 'Go on' }).click();
  await page.getByRole('dialog').getByText('deletions, encrypted files').waitFor();
  await confirmByName(page, 'Go on with what there is');
  await page.getByText(`${GROUP} goes on.`).waitFor({ timeout: STEP_MS });
  await problem.waitFor({ state: 'detached', timeout: STEP_MS });
  await expect.poll(() => filesOn(bed.a), { timeout: STEP_MS }).toBe(1);
  await page.context().close();
});

test('both become primary; one side is given up, and what only it had can be got out', async () => {
  await waitForCopy(bed.b, GROUP, STEP_MS);
  const page = await openGroup();
  await primaryShown(page, 'b').waitFor();
  await bed.lab.cut('a', 'b');
  await shell(bed.b, `cd ${DIRECTORY}; echo alone > only-b`);
  await page.getByRole('button', { name: 'More' }).click();
  await page.getByRole('menuitem', { name: 'Take over' }).click();
  const dialog = page.getByRole('dialog');
  await dialog.getByText('a becomes the primary with what it has').waitFor();
  await dialog.getByLabel('I am sure that b is off').check();
  await confirmByName(page, 'Take over');
  await page.getByText(`${GROUP} was taken over.`).waitFor({ timeout: STEP_MS });
  await primaryShown(page, 'a').waitFor();
  await shell(bed.a, `cd ${DIRECTORY}; echo new > only-a`);
  await bed.lab.heal();

  const problem = page.locator('.problem', { hasText: 'Decide whose is given up' });
  await problem.waitFor({ timeout: STEP_MS });
  await problem.getByRole('button', { name: 'Give up one side' }).click();
  const submit = dialog.getByRole('button', { name: 'Give up this data' });
  await dialog.getByLabel('I have looked at the data').check();
  await dialog.getByLabel(/To confirm, type/).fill(GROUP);
  // Whose data goes is nothing that a dialog should guess.
  expect(await submit.isDisabled()).toBe(true);
  await dialog.getByRole('radio', { name: 'b', exact: true }).check();
  await dialog.getByText('What was written on b since').waitFor();
  await submit.click();
  await page.getByText(`${GROUP} has one primary again.`).waitFor({ timeout: STEP_MS });
  await waitForCopy(bed.a, GROUP, STEP_MS);
  await problem.waitFor({ state: 'detached' });
  const isKept = async (): Promise<boolean> =>
    (await askEvents(bed.b)).some(({ code }) => code === 'SALVAGE_KEPT');
  expect(await waitUntil(isKept, STEP_MS, 300), 'it is kept aside').toBe(true);
  expect(existsSync(there(bed.b, `${DIRECTORY}/only-b`))).toBe(false);
  await page.context().close();
  await lookAtSalvage();
});

async function lookAtSalvage(): Promise<void> {
  const page = await openGroup('Earlier states');
  const dialog = page.getByRole('dialog');
  const kept = page.locator('section[aria-labelledby=group-salvage] li', { hasText: '· b' });
  await kept.getByRole('button', { name: 'Show' }).click();
  await dialog.getByRole('cell', { name: 'only-b' }).waitFor();
  await dialog.getByRole('cell', { name: 'only here' }).waitFor();
  await page.keyboard.press('Escape');
  await kept.getByRole('button', { name: 'Copy out' }).click();
  await dialog.getByLabel('Directory on b').fill('/srv/lost');
  await dialog.getByRole('button', { name: 'Copy out' }).click();
  await page.getByText('It was copied to /srv/lost on b.').waitFor({ timeout: STEP_MS });
  const lost = readFileSync(join(there(bed.b, '/srv/lost'), 'files/only-b'), 'utf8');
  expect(lost).toBe('alone\n');
  await kept.getByRole('button', { name: 'Remove' }).click();
  await confirmByName(page, 'Remove');
  await page.getByText('It was removed.').waitFor();
  await kept.waitFor({ state: 'detached' });
  await page.context().close();
}

test('a group is deleted by its name, and its data stays', async () => {
  const page = await openGroup();
  await page.getByRole('button', { name: 'More' }).click();
  await page.getByRole('menuitem', { name: 'Delete group' }).click();
  await page.getByRole('dialog').getByText('The data stays on both nodes').waitFor();
  await confirmByName(page, 'Delete group');
  await page.getByText(`${GROUP} was deleted.`).waitFor({ timeout: STEP_MS });
  await page.getByRole('heading', { level: 1, name: 'Overview' }).waitFor();
  await expect
    .poll(async () => page.getByRole('link', { name: GROUP, exact: true }).count())
    .toBe(0);
  for (const host of [bed.a, bed.b]) {
    expect(await askGroup(host, GROUP)).toBeUndefined();
    expect(readFileSync(there(host, `${DIRECTORY}/only-a`), 'utf8')).toBe('new\n');
  }
  await page.context().close();
});

test('no page said anything that it should not have', () => {
  expect(bed.complaints).toEqual([]);
});
