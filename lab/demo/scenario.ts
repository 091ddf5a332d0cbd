// The story of the demo: protect, work, lose power, and look on: the other server takes over by itself, with the
// address and the application. Then everything is counted.
import { setTimeout as sleep } from 'node:timers/promises';
import { present } from '../../src/core/assert.ts';
import { UnderstudyError } from '../../src/core/errors.ts';
import { outagesIn } from '../../examples/ledger/client-log.ts';
import type { LabHost } from '../host.ts';
import type { Lab } from '../lab.ts';
import { managedGroupYaml, virtualAddress } from '../managed.ts';
import { askEvents, askGroup, type GroupSummary } from '../node-admin.ts';
import { pairNodes, understudy, waitForCopy, waitForDaemon } from '../pair.ts';
import { waitUntil } from '../run.ts';
import type { Acknowledgement, DemoApplication } from './application.ts';
import type { Timeline } from './timeline.ts';

export type Mode = 'sync' | 'memory' | 'async';
export type Profile = 'default' | 'fast';
const COPY_TIMEOUT_MS = 120_000;
const WORK_TIMEOUT_MS = 60_000;

export interface ScenarioOptions {
  readonly mode: Mode;
  /** How soon a silent server counts as dead. */
  readonly profile: Profile;
  /** Work before the power cut, which comes at a random moment of the second after it. */
  readonly workMs: number;
  /** Work on the second server. */
  readonly afterMs: number;
  /** Boot the first server again and watch it become the standby. */
  readonly rejoin: boolean;
  /** Another accident, some time before the power cut. */
  readonly beforePowerCut?: (lab: Lab) => Promise<void>;
}

/** The closing table. */
export interface Outcome {
  readonly mode: Mode;
  readonly profile: Profile;
  readonly app: string;
  /** Acknowledged before the power cut, all checked. */
  readonly ackedCommits: number;
  readonly lostCommits: number;
  /** Acknowledged by the second server, all checked too. */
  readonly ackedAfterTakeover: number;
  readonly integrity: string;
  /** From the last acknowledgement before the power cut to the first one after it. */
  readonly outageMs: number;
  /** From the power cut until the second server had noticed; null: it did not say so. */
  readonly detectionMs: number | null;
  /** From the power cut to a primary that can be written to; null: it did not say so. */
  readonly takeoverMs: number | null;
  readonly commitsPerSecond: number;
  /** Age of the oldest lost commit at the time of the cut. */
  readonly lostTailMs: number;
  readonly details: Readonly<Record<string, string | number>>;
}

/** Plays the whole story in a fresh lab with all four hosts. */
export async function playScenario(
  lab: Lab,
  application: DemoApplication,
  timeline: Timeline,
  options: ScenarioOptions,
): Promise<Outcome> {
  const [a, b, client] = [lab.host('a'), lab.host('b'), lab.host('client')];
  await protect(lab, application, timeline, options);
  await application.startLoad(client, virtualAddress(lab));
  const ackedBy = (host: LabHost): Acknowledgement[] =>
    application.acknowledged(client).filter(({ node }) => node === host.name);
  await waitForWork(() => ackedBy(a).length, client);
  timeline.note(`the client works; all that it knows is the address ${virtualAddress(lab)}`);
  await sleep(options.workMs);
  const { copy, lagMs } =
    options.mode === 'sync'
      ? await waitForCopy(a, application.name, COPY_TIMEOUT_MS)
      : present(await askGroup<GroupSummary>(a, application.name), 'group of the demo');
  timeline.note(`copy on b: ${copy}, lag ${lagMs ?? 0} ms; the power will go any moment`);
  await options.beforePowerCut?.(lab);
  await sleep(Math.random() * 1000);

  const cutAt = Date.now();
  await a.powerOff();
  timeline.note('POWER CUT on a: nothing of it runs any more; nobody does anything now');
  await waitForWork(() => ackedBy(b).length, client);
  timeline.note('the client has its first answer from b');
  await application.turnLoad(client);
  await sleep(options.afterMs);
  await application.stopLoad(client);
  timeline.note(`the client stops, after ${ackedBy(b).length} more ${application.commitName}`);
  const noticed = await tellStory(b, timeline, cutAt);

  const verdict = await application.verify(b, application.acknowledged(client));
  timeline.note(`every acknowledged commit looked up on b, data checked: ${verdict.integrity}`);
  if (options.rejoin) await rejoin(a, b, application, timeline);
  return outcomeOf(application, options, {
    before: application.acknowledged(client).filter(({ node }) => node !== b.name),
    after: ackedBy(b),
    cutAt,
    ...noticed,
    ...verdict,
  });
}

async function protect(
  lab: Lab,
  application: DemoApplication,
  timeline: Timeline,
  { mode, profile }: ScenarioOptions,
): Promise<void> {
  const a = lab.host('a');
  await pairNodes(lab);
  timeline.note('a and b are a pair (understudy init, invite, join)');
  await application.prepare(a);
  const { directory, name, agent } = application;
  const used = (await a.must(['du', '-sh', directory])).split('\t')[0] ?? '';
  timeline.note(`${name} has data in ${directory} on a (${used})`);
  await understudy(a, ['group', 'create', '--file', '-'], {
    input: managedGroupYaml(lab, { name, directory, mode, profile, agent }),
    timeoutMs: COPY_TIMEOUT_MS,
    acceptWarnings: true,
  });
  timeline.note(`group "${name}": ${directory}, mode ${mode}, failover by itself (${profile})`);
  await waitForCopy(a, name, COPY_TIMEOUT_MS);
  timeline.note('the first copy on b is complete');
}

/** What the second server said, put into the timeline; and when. */
async function tellStory(
  b: LabHost,
  timeline: Timeline,
  cutAt: number,
): Promise<Pick<Outcome, 'detectionMs' | 'takeoverMs'>> {
  const said = (await askEvents(b)).filter(({ at }) => Date.parse(at) >= cutAt);
  for (const { at, message } of said) {
    timeline.note(
      `  b, ${((Date.parse(at) - cutAt) / 1000).toFixed(2)} s after the cut: ${message}`,
    );
  }
  const afterCut = (code: string): number | null => {
    const event = said.find((one) => one.code === code);
    return event === undefined ? null : Date.parse(event.at) - cutAt;
  };
  return { detectionMs: afterCut('PEER_SILENT'), takeoverMs: afterCut('BECAME_PRIMARY') };
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
  timeline.note('a has made itself the standby of b, its copy is up to date');
}

async function waitForWork(acknowledged: () => number, client: LabHost): Promise<void> {
  if (await waitUntil(() => acknowledged() > 0, WORK_TIMEOUT_MS, 20)) return;
  throw new UnderstudyError(
    'DEMO_CLIENT_IDLE',
    `the client gets no answers: see ${client.logDirectory}`,
  );
}

interface Findings {
  readonly before: readonly Acknowledgement[];
  readonly after: readonly Acknowledgement[];
  readonly cutAt: number;
  readonly detectionMs: number | null;
  readonly takeoverMs: number | null;
  readonly lost: readonly Acknowledgement[];
  readonly integrity: string;
  readonly details: Readonly<Record<string, string | number>>;
}

function outcomeOf(
  application: DemoApplication,
  { mode, profile }: ScenarioOptions,
  findings: Findings,
): Outcome {
  const { before, after, cutAt, lost } = findings;
  const firstLost = lost.reduce((first, { at }) => Math.min(first, at), cutAt);
  const workedMs = (before.at(-1)?.at ?? 0) - (before[0]?.at ?? 0);
  const times = [before.at(-1)?.at ?? 0, ...after.map(({ at }) => at)];
  return {
    mode,
    profile,
    app: application.name,
    ackedCommits: before.length,
    lostCommits: lost.length,
    ackedAfterTakeover: after.length,
    integrity: findings.integrity,
    outageMs: outagesIn(times, 0)[0]?.ms ?? 0,
    detectionMs: findings.detectionMs,
    takeoverMs: findings.takeoverMs,
    commitsPerSecond: workedMs > 0 ? Math.round((before.length * 1000) / workedMs) : 0,
    lostTailMs: cutAt - firstLost,
    details: findings.details,
  };
}
