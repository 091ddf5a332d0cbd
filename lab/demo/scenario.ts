// The story of the demo: protect, work, lose power, take over, go on, and count.
import { setTimeout as sleep } from 'node:timers/promises';
import { present } from '../../src/core/assert.ts';
import { UnderstudyError } from '../../src/core/errors.ts';
import { outagesIn } from '../../examples/ledger/client-log.ts';
import type { LabHost } from '../host.ts';
import type { Lab } from '../lab.ts';
import { groupOn, pairNodes, understudy, waitForCopy, waitForDaemon } from '../pair.ts';
import { waitUntil } from '../run.ts';
import type { Acknowledgement, DemoApplication } from './application.ts';
import type { Timeline } from './timeline.ts';

export type Mode = 'sync' | 'memory' | 'async';
const COPY_TIMEOUT_MS = 120_000;
const TAKEOVER_TIMEOUT_MS = 60_000;

export interface ScenarioOptions {
  readonly mode: Mode;
  /** Work before the power cut, which comes at a random moment of the second after it. */
  readonly workMs: number;
  /** Work on the second server. */
  readonly afterMs: number;
  /** Boot the first server again and let it become the standby. */
  readonly rejoin: boolean;
  /** Another accident, some time before the power cut. */
  readonly beforePowerCut?: (lab: Lab) => Promise<void>;
}

/** The closing table. */
export interface Outcome {
  readonly mode: Mode;
  readonly app: string;
  /** Acknowledged before the power cut, all checked. */
  readonly ackedCommits: number;
  readonly lostCommits: number;
  /** Acknowledged by the second server, all checked too. */
  readonly ackedAfterTakeover: number;
  readonly integrity: string;
  /** Longest time without an acknowledgement. */
  readonly outageMs: number;
  /** From the command to a primary that can be written to. */
  readonly takeoverMs: number;
  readonly commitsPerSecond: number;
  /** Age of the oldest lost commit at the time of the cut. */
  readonly lostTailMs: number;
  readonly details: Readonly<Record<string, string | number>>;
}

/** Plays the whole story in a fresh lab with hosts `a`, `b` and `client`. */
export async function playScenario(
  lab: Lab,
  application: DemoApplication,
  timeline: Timeline,
  options: ScenarioOptions,
): Promise<Outcome> {
  const [a, b, client] = [lab.host('a'), lab.host('b'), lab.host('client')];
  await protect(lab, application, timeline, options.mode);
  await application.start(a);
  timeline.note(`${application.name} serves on a; its writes go through Understudy`);
  await application.startLoad(client, [a, b]);
  await waitForWork(() => application.acknowledged(client).length, client);
  timeline.note('the client works');
  await sleep(options.workMs);
  const { copy, lagMs } =
    options.mode === 'sync'
      ? await waitForCopy(a, application.name, COPY_TIMEOUT_MS)
      : present(await groupOn(a, application.name), 'group of the demo');
  timeline.note(`copy on b: ${copy}, lag ${lagMs ?? 0} ms; the power will go any moment`);
  await options.beforePowerCut?.(lab);
  await sleep(Math.random() * 1000);

  const cutAt = Date.now();
  await a.powerOff();
  timeline.note('POWER CUT on a: nothing of it runs any more');
  const takeoverMs = await takeOver(b, application, timeline);
  await application.turnLoad(client, b);
  const isFromB = ({ server }: Acknowledgement): boolean => server.includes(b.address('lan'));
  const ackedByB = (): number => application.acknowledged(client).filter(isFromB).length;
  await waitForWork(ackedByB, client);
  timeline.note('the client has its first answer from b');
  await sleep(options.afterMs);
  await application.stopLoad(client);
  timeline.note(`the client stops, after ${ackedByB()} more ${application.commitName}`);

  const verdict = await application.verify(b, application.acknowledged(client));
  timeline.note(`every acknowledged commit looked up on b, data checked: ${verdict.integrity}`);
  if (options.rejoin) await rejoin(a, b, application, timeline);
  return outcomeOf(application, options.mode, {
    before: application.acknowledged(client).filter((entry) => !isFromB(entry)),
    after: application.acknowledged(client).filter(isFromB),
    cutAt,
    takeoverMs,
    ...verdict,
  });
}

async function protect(
  lab: Lab,
  application: DemoApplication,
  timeline: Timeline,
  mode: Mode,
): Promise<void> {
  const a = lab.host('a');
  await pairNodes(lab);
  timeline.note('a and b are a pair (understudy init, invite, join)');
  await application.prepare(a);
  const { directory, name } = application;
  const used = (await a.must(['du', '-sh', directory])).split('\t')[0] ?? '';
  timeline.note(`${name} has data in ${directory} on a (${used})`);
  const group = { name, paths: [{ dir: directory }], replication: { mode } };
  const create = ['group', 'create', '--file', '-'];
  await understudy(a, create, { input: JSON.stringify(group), timeoutMs: COPY_TIMEOUT_MS });
  timeline.note(`group "${name}" protects ${directory}, mode ${mode}`);
  await waitForCopy(a, name, COPY_TIMEOUT_MS);
  timeline.note('the first copy on b is complete');
}

async function takeOver(
  b: LabHost,
  application: DemoApplication,
  timeline: Timeline,
): Promise<number> {
  const started = performance.now();
  await understudy(b, ['takeover', application.name, '--force'], {
    timeoutMs: TAKEOVER_TIMEOUT_MS,
    acceptWarnings: true,
  });
  const takeoverMs = Math.round(performance.now() - started);
  timeline.note(`understudy takeover ${application.name} --force: b is the primary`);
  await application.start(b);
  timeline.note(`${application.name} serves on b`);
  return takeoverMs;
}

async function rejoin(
  a: LabHost,
  b: LabHost,
  application: DemoApplication,
  timeline: Timeline,
): Promise<void> {
  await a.boot();
  timeline.note('a has power again');
  await waitForDaemon(a);
  await waitForCopy(b, application.name, COPY_TIMEOUT_MS);
  timeline.note('a is the standby of b, its copy is up to date');
}

async function waitForWork(acknowledged: () => number, client: LabHost): Promise<void> {
  if (await waitUntil(() => acknowledged() > 0, 30_000, 20)) return;
  throw new UnderstudyError(
    'DEMO_CLIENT_IDLE',
    `the client gets no answers: see ${client.logDirectory}`,
  );
}

interface Findings {
  readonly before: readonly Acknowledgement[];
  readonly after: readonly Acknowledgement[];
  readonly cutAt: number;
  readonly takeoverMs: number;
  readonly lost: readonly Acknowledgement[];
  readonly integrity: string;
  readonly details: Readonly<Record<string, string | number>>;
}

function outcomeOf(application: DemoApplication, mode: Mode, findings: Findings): Outcome {
  const { before, after, cutAt, lost } = findings;
  const firstLost = lost.reduce((first, { at }) => Math.min(first, at), cutAt);
  const workedMs = (before.at(-1)?.at ?? 0) - (before[0]?.at ?? 0);
  const times = [...before, ...after].map(({ at }) => at);
  return {
    mode,
    app: application.name,
    ackedCommits: before.length,
    lostCommits: lost.length,
    ackedAfterTakeover: after.length,
    integrity: findings.integrity,
    outageMs: outagesIn(times, 0).reduce((longest, { ms }) => Math.max(longest, ms), 0),
    takeoverMs: findings.takeoverMs,
    commitsPerSecond: workedMs > 0 ? Math.round((before.length * 1000) / workedMs) : 0,
    lostTailMs: cutAt - firstLost,
    details: findings.details,
  };
}
