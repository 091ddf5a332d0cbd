// A managed group on this node: carries out what its machine wants, and tells the machine what happens.
//
//   cluster process ──effect──▶ GroupFailover ──▶ GroupRuntime (roles), agents (application)
//        ▲                          │
//        └──result, data, commits───┘
//
// The machine outlives the service. After a restart of either, `join` brings both together again:
// what the machine still waits for is carried out, what it does not know is told.
import { setTimeout as sleep } from 'node:timers/promises';
import { unreachable } from '../../core/assert.ts';
import { messageOf, UnderstudyError } from '../../core/errors.ts';
import { within } from '../../core/within.ts';
import { boottimeMs } from '../../linux/boottime.ts';
import type { EffectOf } from '../../cluster/machine/effect-types.ts';
import type { Command, MachineEvent } from '../../cluster/machine/event-types.ts';
import type { Health } from '../../cluster/machine/types.ts';
import type { Refusal } from '../../cluster/machine/commands.ts';
import type { OuterEffect } from '../../cluster/thread/group-effects.ts';
import type { MachineView } from '../../cluster/thread/machine-view.ts';
import type { GroupNotice } from '../data-notices.ts';
import type { GroupRuntime, RuntimeOwner } from '../group-runtime.ts';
import { ApplicationOrders } from './application-orders.ts';
import type { ClusterProcess } from './cluster-process.ts';
import type { GroupHandover, GroupStanding } from './cluster-protocol.ts';
import { DataStanding } from './data-standing.ts';
import type { GroupSettings } from './group-settings.ts';
import { LinkWatch } from './link-watch.ts';
import { ReadinessWatch } from './readiness-watch.ts';
import {
  cease,
  dataOf,
  type Demoted,
  handOver,
  ownData,
  promote,
  standbyData,
} from './role-changes.ts';

const VIEW_POLL_MS = 20;
const RESTART_PAUSE_MS = 500;
/** A handover may take as long as it may drain; a node without a machine is no help to the other one. */
const SETTLE_TIMEOUT_MS = 90_000;
const SAID_KEPT = 50;
/** More than a machine ever waits for at once. */
const DONE_KEPT = 100;

export interface GroupFailoverOptions {
  readonly runtime: GroupRuntime;
  readonly cluster: ClusterProcess;
  readonly settings: GroupSettings;
}

/** An effect that is being carried out. */
interface Running {
  readonly kind: OuterEffect['kind'];
  readonly course: Promise<void>;
}

export class GroupFailover implements RuntimeOwner {
  readonly settings: GroupSettings;
  readonly runtime: GroupRuntime;
  readonly data: DataStanding;
  readonly #cluster: ClusterProcess;
  readonly #groupId: string;
  readonly #links: LinkWatch;
  readonly #readiness: ReadinessWatch;
  #view: MachineView | null = null;
  #viewsSeen = 0;
  /** Effects that are being carried out, so that none is begun twice. */
  readonly #running = new Map<number, Running>();
  /** Effects that were carried out, oldest first: what a machine waits for may have been asked before, and be answered after that. */
  readonly #done = new Set<number>();
  readonly #application: ApplicationOrders;
  /** Highest number of a wish about commits in the present epoch. */
  #lastRequest = 0;
  #restarting = false;
  /** Why the application cannot be made to run here, as told last. */
  #applicationFault: string | null = null;
  /** As told last; null: by another service, if at all. */
  #disk: Health | null = null;
  /** What the machine said lately. */
  readonly #said: EffectOf<'emit'>[] = [];
  /** Counts those that a command may have been given to. */
  #machines = 0;
  #stopped = false;

  constructor({ runtime, cluster, settings }: GroupFailoverOptions) {
    this.settings = settings;
    this.runtime = runtime;
    this.#cluster = cluster;
    this.#groupId = runtime.definition.groupId;
    const tell = (event: MachineEvent): void => this.#tell(event);
    this.#application = new ApplicationOrders(runtime, tell);
    this.data = new DataStanding({
      runtime,
      tell,
      // Everything was written: the disk works.
      onRewritten: () => this.#tellDisk('ok', 'the copy is complete'),
    });
    const interfaces = (settings.addresses?.addresses ?? []).map((one) => one.interface);
    this.#links = new LinkWatch(interfaces, (state, why) => {
      this.#tell({ kind: 'health', part: 'network', state, why });
    });
    this.#readiness = new ReadinessWatch({
      isAsked: () => this.#isReadyCopy(),
      ask: async () => runtime.agents.questions.reasonsAgainst(),
      onChange: () => this.#tellReadiness(),
    });
    runtime.manageBy(this);
  }

  #isReadyCopy(): boolean {
    const { view, runtime } = this;
    if (runtime.definition.agents.length === 0 || runtime.phase !== 'running') return false;
    return view?.role === 'standby' && view.copy === 'up-to-date';
  }

  #tellReadiness(): void {
    const { reasons } = this.#readiness;
    const why = reasons.join('; ');
    const state = reasons.length === 0 ? 'ok' : 'failed';
    this.#tell({ kind: 'health', part: 'readiness', state, why });
    const { name } = this.runtime;
    const sentence = `this node should not become the primary of group "${name}": ${why}`;
    this.runtime.setTrouble('readiness', reasons.length === 0 ? null : sentence);
  }

  /** Why this standby should not become the primary, as its agents said last. */
  get reasons(): readonly string[] {
    return this.#readiness.reasons;
  }

  get view(): MachineView | null {
    return this.#view;
  }

  /** Changes with every view: an answer to a question that was asked before the newest one may be older than that. */
  get viewsSeen(): number {
    return this.#viewsSeen;
  }

  /**
   * Brings machine and service together, after a (re)start of either. `standing`: what the cluster
   * process knows of the group; undefined when it does not run it. Errors: GROUP_MACHINE_FAILED.
   */
  async join(standing: GroupStanding | undefined): Promise<void> {
    if (standing === undefined) {
      this.#machines += 1;
      await this.#untilOver();
    }
    const found = standing ?? (await this.#add());
    for (const effect of found.effects) {
      if (!this.#isBegun(effect)) this.#application.foresee(effect);
    }
    if (found.view !== null) this.onView(found.view);
    if (this.#disk === 'failed')
      this.#tell({ kind: 'health', part: 'disk', state: 'failed', why: 'it failed before' });
    for (const effect of found.effects) this.onEffect(effect);
    this.#tellApplicationAgain();
    this.#links.tellAgain();
    this.#readiness.tellAgain();
    if (this.runtime.phase === 'running') await this.#tellStatus();
  }

  async #add(): Promise<GroupStanding> {
    const seen = this.#viewsSeen;
    const params = { handover: this.#handover() };
    const added = (await this.#cluster.call('add', params, 30_000)) as GroupStanding;
    return seen === this.#viewsSeen ? added : { ...added, view: null };
  }

  /**
   * What is under way was for a machine that is gone, and its result is for nobody: a machine that began before its end would take
   * what was so then for what is.
   */
  async #untilOver(): Promise<void> {
    this.#application.orphan();
    const courses = Array.from(this.#running.values(), ({ course }) => course);
    await within(Promise.all(courses), SETTLE_TIMEOUT_MS);
  }

  /** Begins nothing any more; machine, lease and addresses stay. */
  stop(): void {
    this.#stopped = true;
    this.#links.stop();
    this.#readiness.stop();
    this.data.stop();
    this.#application.stop();
  }

  /** The group is no longer managed: no machine, no address, and its process may write without a lease. */
  async leave(): Promise<void> {
    this.stop();
    await this.#cluster.call('remove', { groupId: this.#groupId });
  }

  #handover(): GroupHandover {
    const { config, arbiter, addresses, fencing, watchdogPath } = this.settings;
    const { state, files, process } = this.runtime;
    const isServing = state.role === 'primary' && (process.isAlive || this.runtime.isSucceeding);
    const { copy, position } = this.data.withoutProcess();
    // What may run has to be stopped like what does.
    const runsApplication = state.agentsStarted || this.runtime.application.mayRun;
    return {
      groupId: this.#groupId,
      config,
      arbiter,
      addresses,
      fence: fencing?.peer ?? null,
      watchdogPath,
      leaseFile: files.lease,
      memoFile: files.memo,
      isCreator: state.role === 'primary',
      copy,
      position,
      running: isServing ? { epoch: state.epoch, runsApplication } : null,
    };
  }

  onView(view: MachineView): void {
    this.#viewsSeen += 1;
    this.#view = view;
    if (this.#stopped) return;
    if (view.role === 'demoting') this.#endFilter();
    if (view.role === 'primary') this.#readiness.forget();
    this.runtime.agents.pause(view.paused);
    // (The cluster process may be of an earlier version, and not say.)
    this.runtime.setTrouble('arbiter', view.arbiterTrouble || null);
    this.#settle();
  }

  /** What follows from the view as soon as nothing is in the way of it. */
  #settle(): void {
    const { view } = this;
    if (view === null || this.#stopped) return;
    const isServing = view.role === 'primary' && view.application === 'running';
    const isMoved = this.#application.isStopping || this.#restarting;
    if (isServing && !isMoved) this.runtime.application.watch();
    this.#adjust();
  }

  /**
   * A node that ceases without a lease: its filter holds everything back, also what the application
   * waits for to be able to stop. The end of the filter lets that fail.
   */
  #endFilter(): void {
    const runtime = this.runtime;
    const isThere = runtime.process.isAlive || runtime.isSucceeding;
    if (runtime.state.role !== 'primary' || !isThere) return;
    void runtime.killProcess({ keepMounts: true }).catch((thrown: unknown) => {
      runtime.emit('error', 'GROUP_PROCESS_DIED', messageOf(thrown));
    });
  }

  /** Where role and process do not fit together although no effect is under way. */
  #adjust(): void {
    const { view } = this;
    const runtime = this.runtime;
    if (view === null || this.#stopped || this.#isAtWork || this.#restarting) return;
    if (view.role === 'standby' && this.#isLeftOver) {
      void this.#restart(async () => this.#undoPromotion());
      return;
    }
    if (runtime.process.isAlive || runtime.isSucceeding) return;
    const isFollower = view.role === 'standby' && view.peerRole === 'primary';
    if (isFollower && runtime.state.role === 'primary')
      void this.#restart(async () => this.#follow());
    if (view.role === 'primary' && runtime.state.role === 'primary')
      void this.#restart(async () => this.#serveAgain());
  }

  /** An application that is being started is none of it: it may wait for the very filter that is to be started again. */
  get #isAtWork(): boolean {
    return Array.from(this.#running.values()).some(({ kind }) => kind !== 'startApplication');
  }

  /**
   * What a promotion leaves whose machine ended with the cluster process: the machine after that one knows nothing of it, and
   * asks for nothing. A process that serves without a lease, or no process at all.
   */
  get #isLeftOver(): boolean {
    const { state, process, phase, isSucceeding } = this.runtime;
    if (state.role === 'primary') return process.isAlive || isSucceeding;
    return phase === 'stopped' && !process.isAlive;
  }

  async #undoPromotion(): Promise<void> {
    // It may have begun to be promoted again meanwhile, or runs by now.
    if (this.#view?.role !== 'standby' || !this.#isLeftOver) return;
    await this.#endOrphans();
    await cease(this.runtime);
  }

  /** An application whose machine ended with the cluster process while the filter was away: nobody else stops it. */
  async #endOrphans(): Promise<void> {
    const { runtime } = this;
    if (!runtime.application.mayRun) return;
    this.#application.giveUp();
    // Before: what it waits for would never come.
    await runtime.killProcess({ keepMounts: true });
    await runtime.application.endOrphans();
  }

  async #restart(work: () => Promise<void>): Promise<void> {
    const runtime = this.runtime;
    this.#restarting = true;
    try {
      await runtime.exclusive(work);
      if (runtime.process.isAlive) this.#tellDisk('ok', 'the group process runs again');
    } catch (thrown) {
      runtime.setTrouble('process', messageOf(thrown));
      runtime.emit('error', 'GROUP_START_FAILED', messageOf(thrown));
      // Whatever it is, this node cannot serve: the other one may be able to.
      this.#tellDisk('failed', messageOf(thrown));
      await sleep(RESTART_PAUSE_MS);
    } finally {
      this.#restarting = false;
    }
    this.#settle();
  }

  #tellDisk(state: Health, why: string): void {
    if (state === this.#disk) return;
    this.#disk = state;
    this.#tell({ kind: 'health', part: 'disk', state, why });
  }

  /** A former primary that comes back and finds the other one serving. */
  async #follow(): Promise<void> {
    const runtime = this.runtime;
    const { epoch } = runtime.state;
    runtime.emit(
      'warning',
      'PRIMARY_ELSEWHERE',
      `group "${runtime.name}" was taken over by the other node: this node becomes its standby, and what it wrote last and did not send is replaced`,
    );
    await this.#endOrphans();
    // It has ended; what it said before may not be read yet.
    await runtime.killProcess({ keepMounts: true });
    await runtime.becomeStandby(epoch, null, ownData(runtime.state));
  }

  /** The process of a primary died: another one goes on in its place, with the same lease. */
  async #serveAgain(): Promise<void> {
    const runtime = this.runtime;
    if (this.#view?.role !== 'primary' || runtime.process.isAlive) return;
    if (runtime.isSucceeding) return;
    // Whoever opens something meanwhile gets an error: underneath, nothing would be recorded.
    await runtime.killProcess({ keepMounts: true });
    await runtime.startPrimaryProcess(this.#nextRequest());
    // Also for what was being started meanwhile.
    const why = 'its files were gone for a moment, since the process of the filter had ended';
    runtime.agents.trouble(why);
  }

  /**
   * Above all that a process of this epoch can have used, also one that this service has never heard of: the machine answers no
   * number below the highest it knows. A mirror changes its mind less often than once in a millisecond.
   */
  #nextRequest(): number {
    return Math.max(this.#lastRequest + 1, Math.floor(boottimeMs()));
  }

  onRunning(): void {
    void this.#tellStatus();
  }

  onAgentsReplaced(): void {
    if (this.#view !== null) this.onView(this.#view);
  }

  onLost(): void {
    this.#adjust();
  }

  onNotice(notice: GroupNotice): void {
    if (notice.kind === 'data') {
      this.data.note(notice);
      return;
    }
    if (notice.kind === 'disk') {
      this.#tellDisk('failed', notice.why);
      return;
    }
    if (notice.kind === 'mountsLost') return;
    const { state, request, why } = notice;
    this.#lastRequest = Math.max(this.#lastRequest, request);
    this.#tell({ kind: 'commits', state, request, why });
  }

  onApplication(state: 'ok' | 'failed', why: string): void {
    this.#applicationFault = state === 'ok' ? null : why;
    this.#tell({ kind: 'application', state, why });
  }

  /** It is told once, which may have been while no machine heard it. */
  #tellApplicationAgain(): void {
    const why = this.#applicationFault;
    if (why !== null) this.#tell({ kind: 'application', state: 'failed', why });
  }

  async #tellStatus(): Promise<void> {
    try {
      const status = await this.runtime.process.status();
      // Said by a process that has ended, read when another one had its place.
      if (status['role'] !== this.runtime.state.role) return;
      if (status['role'] === 'primary') {
        const sequence = Number(status['sequence']);
        const epoch = Number(status['epoch']);
        this.data.note({ kind: 'data', copy: 'up-to-date', epoch, sequence });
        const wish = status['commits'] as Omit<GroupNotice & { kind: 'commits' }, 'kind'> | null;
        if (wish !== null) this.onNotice({ kind: 'commits', ...wish });
      } else {
        const { copy, position, isStaged } = dataOf(status);
        this.data.note({ kind: 'data', copy, ...position, isStaged });
      }
    } catch {
      // It ended in this moment, which is told otherwise.
    }
  }

  /** Begins to carry an effect out. */
  onEffect(effect: OuterEffect): void {
    if (!('op' in effect)) {
      this.#now(effect);
      return;
    }
    const { op } = effect;
    if (this.#stopped || this.#isBegun(effect)) return;
    const course = this.#carryOut(effect)
      .then(() => this.#noteDone(op))
      .catch((thrown: unknown) => {
        // The machine has a deadline for it, and asks again.
        this.runtime.emit('error', 'EFFECT_FAILED', `${effect.kind}: ${messageOf(thrown)}`);
      })
      .finally(() => {
        this.#running.delete(op);
        this.#settle();
      });
    this.#running.set(op, { kind: effect.kind, course });
  }

  #isBegun(effect: OuterEffect): boolean {
    return 'op' in effect && (this.#running.has(effect.op) || this.#done.has(effect.op));
  }

  #noteDone(op: number): void {
    this.#done.add(op);
    const [oldest] = this.#done;
    if (this.#done.size > DONE_KEPT && oldest !== undefined) this.#done.delete(oldest);
  }

  #now(effect: Exclude<OuterEffect, { readonly op: number }>): void {
    switch (effect.kind) {
      case 'emit':
        this.#said.push(effect);
        if (this.#said.length > SAID_KEPT) this.#said.shift();
        this.runtime.emit(effect.level, effect.code, effect.message);
        return;
      case 'allowAlone':
        this.#allowAlone(effect.request);
        return;
      case 'fenceSelf':
      case 'persist':
        return;
      default:
        unreachable(effect);
    }
  }

  #allowAlone(request: number): void {
    const { process } = this.runtime;
    // A process that is not there yet tells its wish when it is, and gets its answer then.
    process.call('allowAlone', { request }, 5000).catch(() => undefined);
  }

  async #carryOut(effect: Extract<OuterEffect, { readonly op: number }>): Promise<void> {
    switch (effect.kind) {
      case 'promote':
        return this.#promote(effect);
      case 'demote':
        return this.#demote(effect);
      case 'startApplication':
      case 'stopApplication':
      case 'escalateStop':
        this.#applicationFault = null;
        return this.#application.carryOut(effect);
      case 'fence':
        return undefined;
      default:
        return unreachable(effect);
    }
  }

  async #promote({ op, epoch, base, accepts }: EffectOf<'promote'>): Promise<void> {
    const runtime = this.runtime;
    const { reasons } = this.#readiness;
    this.#lastRequest = 1;
    try {
      const position = await runtime.exclusive(async () => {
        const promotable = await this.data.promotable({ base, accepts });
        // Asked before the copy is finished, kept while it is.
        void this.data.noteComplete();
        return promote(runtime, {
          epoch,
          dataEpoch: this.data.epoch,
          ...promotable,
          noteServing: async () => {
            await this.#cluster.call('serving', { groupId: this.#groupId, epoch });
          },
        });
      });
      this.data.promoted();
      this.#tell({ kind: 'promoted', op, position });
      if (base === null && reasons.length > 0) this.#tellAdvice(reasons);
      await this.#tellStatus();
    } catch (thrown) {
      this.data.promotionFailed(accepts.every((copy) => copy === 'up-to-date'));
      this.#tell({ kind: 'promoteFailed', op, message: messageOf(thrown) });
    }
  }

  /** Nobody else serves: what the agents said against it is told, and does not keep the group from being served. */
  #tellAdvice(reasons: readonly string[]): void {
    const sentence = `group "${this.runtime.name}" is served here although its agents have a reason against it: ${reasons.join('; ')}`;
    this.runtime.emit('warning', 'PROMOTED_UNREADY', sentence);
  }

  async #demote({ op, drain, stays, timeoutMs }: EffectOf<'demote'>): Promise<void> {
    const runtime = this.runtime;
    // A promotion or a handover that is under way must not be waited for.
    if (!drain) {
      runtime.process.letGo();
      runtime.process.kill();
    }
    let isTold = false;
    const tell = (demoted: Demoted, wasPrimary = true): void => {
      isTold = true;
      const { clean, position } = demoted;
      this.data.demoted(demoted, wasPrimary, (copy) =>
        this.#tell({ kind: 'demoted', op, clean, copy, position }),
      );
    };
    await runtime.exclusive(async () => {
      if (drain && runtime.state.role === 'primary' && runtime.process.isAlive) {
        try {
          await handOver(runtime, { timeoutMs, stays }, tell);
          return;
        } catch (thrown) {
          if (isTold) throw thrown;
          if (runtime.process.isAlive) {
            const isBusy = thrown instanceof UnderstudyError && thrown.code === 'DIRECTORY_BUSY';
            this.#tell({ kind: 'demoteFailed', op, isBusy, message: messageOf(thrown) });
            return;
          }
        }
      }
      // Asked for again by a service that was restarted after it had been done: nothing to end.
      const isDone = drain && runtime.state.role === 'standby' && runtime.process.isAlive;
      const wasPrimary = runtime.state.role === 'primary';
      tell(await (isDone ? standbyData(runtime) : cease(runtime)), wasPrimary);
    });
    await this.#tellStatus();
  }

  #tell(event: MachineEvent): void {
    this.#cluster.deliver(this.#groupId, event);
  }

  /**
   * Gives a command to the machine and waits until `isDone`. Errors: the machine's refusal, any of
   * `failures` when the machine says so, COMMAND_UNFINISHED, CLUSTER_PROCESS_DOWN.
   */
  async command(
    command: Command,
    until: {
      readonly isDone: (view: MachineView) => boolean;
      readonly failures: readonly string[];
      readonly timeoutMs: number;
    },
  ): Promise<void> {
    const { name } = this.runtime;
    this.#said.length = 0;
    const params = { groupId: this.#groupId, command };
    const refusal = (await this.#cluster.call('command', params)) as Refusal | null;
    if (refusal !== null) throw new UnderstudyError(refusal.code, refusal.reason);
    const machine = this.#machines;
    const isDone = await this.waitFor((view) => {
      if (this.#machines !== machine) throw lostCommand(name, command);
      const failure = this.#said.find(({ code }) => until.failures.includes(code));
      if (failure !== undefined) throw new UnderstudyError(failure.code, failure.message);
      return until.isDone(view);
    }, until.timeoutMs);
    if (isDone !== undefined) return;
    const why = this.#view === null ? 'nothing is known of its machine' : this.#view.reason;
    throw new UnderstudyError(
      'COMMAND_UNFINISHED',
      `group "${name}": "${command.kind}" has not come to an end within ${Math.round(until.timeoutMs / 1000)} s (${why}): see "understudy events"`,
    );
  }

  /** Waits until the view is as wanted; undefined when that takes longer than `timeoutMs`. */
  async waitFor(
    isWanted: (view: MachineView) => boolean,
    timeoutMs: number,
  ): Promise<MachineView | undefined> {
    const deadline = performance.now() + timeoutMs;
    while (performance.now() < deadline && !this.#stopped) {
      const { view } = this;
      if (view !== null && isWanted(view)) return view;
      await sleep(VIEW_POLL_MS);
    }
    return undefined;
  }
}

function lostCommand(group: string, { kind }: Command): UnderstudyError {
  return new UnderstudyError(
    'COMMAND_UNFINISHED',
    `group "${group}": the cluster process ended while it carried out "${kind}", and another one decides now: see "understudy status", and give it again if it is still wanted`,
  );
}
