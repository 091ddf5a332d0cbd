// A console of its own in the lab, with two nodes that it looks after, and a real browser before it.
//
// The console runs on the lab's `client`, and the browser in its network: there the nodes are reached as from an administrator's desk,
// and the console's address is the loopback one.
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Browser, type BrowserContext, chromium, type Page } from 'playwright-core';
import { present } from '../../src/core/assert.ts';
import type { AccessRole } from '../../src/service/admin-api/caller.ts';
import type { Language } from '../../src/console/web/app/languages.ts';
import { namespaceArguments } from '../../lab/enter.ts';
import type { LabHost } from '../../lab/host.ts';
import { type HostName, Lab } from '../../lab/lab.ts';
import type { LabProcess } from '../../lab/lab-process.ts';
import { makeNodes, pairNodes, understudy } from '../../lab/pair.ts';
import { waitUntil } from '../../lab/run.ts';

const CHROMIUM = '/usr/bin/chromium';
const PORT = 7443;
export const PASSWORD = 'correct horse battery';
const START_TIMEOUT_MS = 30_000;
/** For whatever a page has to do by itself. */
const PAGE_TIMEOUT_MS = 20_000;

/** Users that the bed makes, one of each role. */
export const USERS: Readonly<Record<AccessRole, string>> = {
  administrator: 'admin',
  operator: 'olga',
  viewer: 'victor',
};

export interface Look {
  readonly role?: AccessRole;
  readonly language?: Language;
  readonly scheme?: 'light' | 'dark';
  readonly width?: number;
  readonly height?: number;
}

export interface BedOptions {
  /** Pairs that the console knows. Default: one, of `a` and `b`. */
  readonly pairs?: readonly (readonly [HostName, HostName])[];
  /** Nodes that are neither paired nor known to the console yet. */
  readonly strangers?: readonly HostName[];
}

export class ConsoleBed {
  readonly lab: Lab;
  readonly a: LabHost;
  readonly b: LabHost;
  readonly url: string;
  readonly browser: Browser;
  /** The console's ids of the nodes, by their names. */
  readonly ids: Readonly<Record<string, string>>;
  readonly #console: LabProcess;
  readonly #directory: string;
  /** What pages said that they should not have: errors, and what the policy refused. */
  readonly complaints: string[] = [];

  private constructor(parts: {
    lab: Lab;
    url: string;
    browser: Browser;
    ids: Record<string, string>;
    running: LabProcess;
    directory: string;
  }) {
    this.lab = parts.lab;
    this.a = parts.lab.host('a');
    this.b = parts.lab.host('b');
    this.url = parts.url;
    this.browser = parts.browser;
    this.ids = parts.ids;
    this.#console = parts.running;
    this.#directory = parts.directory;
  }

  /** Pairs, a console that knows their nodes, a browser, and a user of each role. Nothing is left on failure. */
  static async up({ pairs = [['a', 'b']], strangers = [] }: BedOptions = {}): Promise<ConsoleBed> {
    const lab = await Lab.up({ hosts: [...pairs.flat(), ...strangers, 'client', 'gateway'] });
    const directory = mkdtempSync(join(tmpdir(), 'understudy-console-'));
    let browser: Browser | undefined;
    try {
      for (const pair of pairs) await pairNodes(lab, pair);
      await makeNodes(strangers.map((name) => lab.host(name)));
      const client = lab.host('client');
      const { running, url, password } = await startConsole(client, directory);
      browser = await launch(client, directory);
      const ids: Record<string, string> = {};
      const bed = new ConsoleBed({ lab, url, browser, ids, running, directory });
      await bed.#begin(password, pairs.flat(), ids);
      return bed;
    } catch (thrown) {
      await browser?.close();
      await lab.down();
      rmSync(directory, { recursive: true, force: true });
      throw thrown;
    }
  }

  /** A page whose user is logged in. Close its context when it is no longer needed. */
  async open(path: string, look: Look = {}): Promise<Page> {
    const { role = 'administrator' } = look;
    const page = await this.door(look);
    await login(page, USERS[role], PASSWORD);
    await page.goto(`${this.url}${path.slice(1)}`);
    return page;
  }

  /** A page without a session. */
  async door(look: Look = {}): Promise<Page> {
    const { language = 'en', scheme = 'light', width = 1280, height = 860 } = look;
    const context: BrowserContext = await this.browser.newContext({
      locale: language,
      colorScheme: scheme,
      // Arrows that move all the time are drawn by the processor here, which the servers of the lab need.
      reducedMotion: 'reduce',
      viewport: { width, height },
    });
    context.setDefaultTimeout(PAGE_TIMEOUT_MS);
    const page = await context.newPage();
    page.on('pageerror', (error) => this.complaints.push(`${page.url()}: ${error.message}`));
    page.on('console', (message) => {
      // A refusal of the server is said by the browser as an error too.
      const isRefusal = message.text().startsWith('Failed to load resource');
      if (message.type() === 'error' && !isRefusal) {
        this.complaints.push(`${page.url()}: ${message.text()}`);
      }
    });
    await page.goto(this.url);
    return page;
  }

  async down(): Promise<void> {
    await this.browser.close();
    this.#console.kill('SIGTERM');
    await this.lab.down();
    rmSync(this.#directory, { recursive: true, force: true });
  }

  async #begin(
    password: string,
    nodes: readonly HostName[],
    ids: Record<string, string>,
  ): Promise<void> {
    const page = await this.door();
    await firstPassword(page, USERS.administrator, password);
    for (const host of nodes.map((name) => this.lab.host(name))) {
      const token = await accessToken(host);
      const where = { host: host.address('lan'), port: 7440 };
      const { fingerprint } = await ask<{ fingerprint: string }>(page, '/nodes/probe', where);
      const added = await ask<{ id: string }>(page, '/nodes', { ...where, fingerprint, token });
      ids[host.name] = added.id;
    }
    for (const role of ['operator', 'viewer'] as const) {
      const made = await ask<{ oneTimePassword: string }>(page, '/users', {
        name: USERS[role],
        role,
      });
      const other = await this.door();
      await firstPassword(other, USERS[role], made.oneTimePassword);
      await other.context().close();
    }
    await page.context().close();
  }
}

/** For a console. */
export async function accessToken(host: LabHost): Promise<string> {
  const made = await understudy(host, ['token', 'create', 'console', '--role', 'administrator']);
  return (made as { token: string }).token;
}

async function startConsole(
  client: LabHost,
  directory: string,
): Promise<{ running: LabProcess; url: string; password: string }> {
  const [etc, state] = [join(directory, 'etc'), join(directory, 'state')];
  mkdirSync(etc, { recursive: true });
  mkdirSync(state, { recursive: true });
  writeFileSync(join(etc, 'console.yaml'), `address: 127.0.0.1\nport: ${PORT}\n`);
  const running = client.spawn(['understudy', 'console', '--json'], {
    env: { UNDERSTUDY_ETC: etc, UNDERSTUDY_STATE: state },
  });
  let said = '';
  running.child.stdout?.on('data', (chunk: Buffer) => {
    said += chunk.toString();
  });
  const hasSaid = (): boolean => said.trimEnd().endsWith('}');
  if (!(await waitUntil(hasSaid, START_TIMEOUT_MS, 50)))
    throw new Error(`the console said: ${said}`);
  const { url, firstUser } = JSON.parse(said) as { url: string; firstUser: { password: string } };
  return { running, url, password: firstUser.password };
}

/** A browser in the network of the host, and for the rest on this machine. */
async function launch(host: LabHost, directory: string): Promise<Browser> {
  const { pid } = present(host.state.init, 'init of the host');
  const program = join(directory, 'chromium');
  const enter = namespaceArguments(pid, ['net']).join(' ');
  writeFileSync(program, `#!/bin/sh\nexec ${enter} ${CHROMIUM} "$@"\n`);
  chmodSync(program, 0o755);
  return chromium.launch({
    executablePath: program,
    args: ['--no-sandbox', '--disable-dev-shm-usage', '--force-color-profile=srgb'],
  });
}

/** Calls a route of the console from within the page, with its session. */
export async function ask<T>(
  page: Page,
  path: string,
  body?: unknown,
  method = body === undefined ? 'GET' : 'POST',
): Promise<T> {
  const answer = await page.evaluate(
    async ([url, sent, verb]) => {
      const session = await fetch('/api/console/session');
      const { csrf = '' } = (await session.json()) as { csrf?: string };
      const response = await fetch(`/api/console${url}`, {
        method: verb,
        headers: {
          'x-csrf-token': csrf,
          ...(sent === undefined ? {} : { 'content-type': 'application/json' }),
        },
        ...(sent === undefined ? {} : { body: JSON.stringify(sent) }),
      });
      return { isOk: response.ok, text: await response.text() };
    },
    [path, body, method] as const,
  );
  if (!answer.isOk) throw new Error(`${method} ${path}: ${answer.text}`);
  return JSON.parse(answer.text) as T;
}

async function login(page: Page, name: string, password: string): Promise<void> {
  await ask(page, '/login', { name, password });
}

async function firstPassword(page: Page, name: string, oneTime: string): Promise<void> {
  await login(page, name, oneTime);
  await ask(page, '/account/password', { present: oneTime, password: PASSWORD });
}
