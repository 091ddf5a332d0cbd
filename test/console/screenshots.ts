// Pictures of every page of the console, in both themes, all languages, and as a phone shows it, taken of a real pair:
//
//   npm run screenshots -- DIRECTORY [--only node] [--language en] [--scheme dark] [--no-phone]
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { understudy, waitForCopy } from '../../lab/pair.ts';
import { type Language, LANGUAGES } from '../../src/console/web/app/languages.ts';
import { ask, ConsoleBed } from './bed.ts';
import { createLedgerGroup, GROUP } from './ledger-group.ts';
import { PLACES } from './places.ts';

const PHONE_WIDTH = 390;
const PHONE_HEIGHT = 844;
const DESK_WIDTH = 1280;
const DESK_HEIGHT = 860;
/** For drawings, fonts and what is asked for after a page has come. */
const SETTLE_MS = 1200;
const SCHEMES = ['light', 'dark'] as const;

export interface ShootOptions {
  readonly directory: string;
  readonly only?: RegExp;
  readonly languages?: readonly Language[];
  readonly schemes?: readonly ('light' | 'dark')[];
  readonly phone?: boolean;
}

/** Something to see on every page. Returns the id of the group. */
export async function furnish(bed: ConsoleBed): Promise<string> {
  await createLedgerGroup(bed);
  await waitForCopy(bed.a, GROUP, 60_000);
  const files = [
    'mkdir -p /srv/files/cache /srv/files/2026/März',
    'cd /srv/files',
    'for i in $(seq 40); do head -c 20000 /dev/urandom > 2026/report-$i.pdf; done',
    'touch a.tmp cache/x "<img src=x onerror=alert(1)>.txt" 2026/März/Übersicht.ods',
  ];
  await bed.a.must(['sh', '-c', files.join(' && ')]);
  const schedule = ['--schedule', 'mon-fri 08:00-18:00 50Mbit/s'];
  await understudy(bed.a, ['limit', '--node', '200Mbit/s', ...schedule]);
  // While the overview is open, the console hears from its nodes at once.
  const page = await bed.open('/');
  await page.getByRole('link', { name: GROUP, exact: true }).waitFor();
  const channel = { kind: 'webhook', name: 'Operators', url: 'https://example.net/hook' };
  const node = bed.ids['a'] ?? '';
  await ask(page, `/nodes/${node}/api/v1/alerts/channels`, channel);
  const fleet = await ask<{ groups: { groupId: string }[] }>(page, '/fleet');
  await page.context().close();
  return fleet.groups[0]?.groupId ?? '';
}

export async function shoot(
  bed: ConsoleBed,
  groupId: string,
  options: ShootOptions,
): Promise<number> {
  const { directory, only = /./, languages = LANGUAGES, schemes = SCHEMES, phone = true } = options;
  mkdirSync(directory, { recursive: true });
  let taken = 0;
  for (const language of languages) {
    for (const scheme of schemes) {
      for (const isPhone of phone ? [false, true] : [false]) {
        const look = { language, scheme, ...sizeOf(isPhone) };
        const page = await bed.open('/', look);
        for (const place of PLACES.filter(({ name }) => only.test(name))) {
          const file = `${place.name}.${language}.${scheme}${isPhone ? '.phone' : ''}.png`;
          await page.goto(`${bed.url}${place.path(bed, groupId).slice(1)}`);
          await page.getByRole('heading', { level: 1 }).waitFor();
          await place.act?.(page, bed);
          await page.waitForTimeout(SETTLE_MS);
          await page.screenshot({ path: join(directory, file), fullPage: true });
          taken += 1;
        }
        await page.context().close();
      }
    }
  }
  return taken;
}

function sizeOf(isPhone: boolean): { width: number; height: number } {
  return isPhone
    ? { width: PHONE_WIDTH, height: PHONE_HEIGHT }
    : { width: DESK_WIDTH, height: DESK_HEIGHT };
}

const USAGE = `usage: npm run screenshots -- DIRECTORY [--only PATTERN] [--language ${LANGUAGES.join('|')}] [--scheme ${SCHEMES.join('|')}] [--no-phone]`;

async function main(): Promise<void> {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      only: { type: 'string', default: '.' },
      language: { type: 'string' },
      scheme: { type: 'string' },
      'no-phone': { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  });
  const [directory] = positionals;
  if (values.help || directory === undefined) {
    console.error(USAGE);
    process.exitCode = values.help ? 0 : 2;
    return;
  }
  const bed = await ConsoleBed.up();
  try {
    const taken = await shoot(bed, await furnish(bed), {
      directory,
      only: new RegExp(values.only),
      languages: LANGUAGES.filter((one) => one === (values.language ?? one)),
      schemes: SCHEMES.filter((one) => one === (values.scheme ?? one)),
      phone: !values['no-phone'],
    });
    console.log(`${taken} pictures in ${directory}`);
    for (const complaint of bed.complaints) console.error(complaint);
  } finally {
    await bed.down();
  }
}

if (import.meta.main) await main();
