// The bandwidth limit of a node, shared by all its groups: set in node.yaml, changed by `understudy limit --node`.
//
// Each group has a process of its own; once a second the service looks at what they send and tells each its
// share. While the service is away, the last shares hold: together they are the limit.
import { readFileSync } from 'node:fs';
import { parseDocument } from 'yaml';
import { type Bandwidth, limitAt } from './bandwidth.ts';
import { defineBandwidth } from './bandwidth-input.ts';
import type { GroupRuntime } from './group-runtime.ts';
import { parseYaml } from './node-config.ts';
import { divideLimit, type GroupDemand } from './node-shares.ts';
import { replaceFile } from '../journal/replace-file.ts';

const INTERVAL_MS = 1000;
/** Without a limit there is nothing to divide: processes are only told so, once each. */
const IDLE_INTERVAL_MS = 10_000;
/** A share that differs by less is not told anew. */
const WORTH_TELLING = 0.02;
const UNLIMITED = Number.MAX_VALUE;

type NodeBandwidth = Omit<Bandwidth, 'revision'>;

export interface NodeLimitOptions {
  /** Path of node.yaml. */
  readonly file: string;
  /** `bandwidth` of node.yaml as it was at the start; undefined: none. */
  readonly input: unknown;
  readonly groups: () => Iterable<GroupRuntime>;
  readonly now: () => Date;
}

export interface GroupShare {
  readonly group: string;
  /** Bytes per second. */
  readonly share: number;
  readonly sent: number;
}

interface Told {
  /** Bytes per second, null: no limit; what it has at most when that is not sure. */
  readonly share: number | null;
  /** It has said that it took it over. */
  readonly isSure: boolean;
}

export class NodeLimit {
  readonly #options: NodeLimitOptions;
  #bandwidth: NodeBandwidth;
  #timer: NodeJS.Timeout | undefined;
  #isLooking = false;
  #lookedAtMs = Number.NEGATIVE_INFINITY;
  #shares: GroupShare[] = [];
  /** What the processes were told, by their pid: a new process knows nothing. */
  readonly #told = new Map<number, Told>();

  /** Errors: BANDWIDTH_INVALID, RATE_INVALID. */
  constructor(options: NodeLimitOptions) {
    this.#options = options;
    this.#bandwidth = defineBandwidth(options.input ?? 'unlimited', options.file);
  }

  get bandwidth(): NodeBandwidth {
    return this.#bandwidth;
  }

  /** Of the groups that are primary here, as told last. */
  get shares(): readonly GroupShare[] {
    return this.#shares;
  }

  /** Bytes per second; null: none. */
  get rate(): number | null {
    return limitAt(this.#bandwidth, this.#options.now()).rate;
  }

  start(): void {
    this.#timer = setInterval(() => {
      const isDue = performance.now() - this.#lookedAtMs >= IDLE_INTERVAL_MS;
      if (isDue || this.rate !== null || this.#shares.length > 0) void this.#look();
    }, INTERVAL_MS);
  }

  stop(): void {
    clearInterval(this.#timer);
  }

  /**
   * Sets the limit for good: in node.yaml, where comments and other keys stay as they are. Errors:
   * BANDWIDTH_INVALID, RATE_INVALID, CONFIG_INVALID.
   */
  async change(input: unknown): Promise<void> {
    const { file } = this.#options;
    const bandwidth = defineBandwidth(input, file);
    const text = readFileSync(file, 'utf8');
    parseYaml(text, file);
    const document = parseDocument(text);
    document.set('bandwidth', input);
    replaceFile(file, String(document));
    this.#bandwidth = bandwidth;
    await this.#look();
  }

  async #look(): Promise<void> {
    if (this.#isLooking) return;
    this.#isLooking = true;
    this.#lookedAtMs = performance.now();
    try {
      await this.#divide();
    } finally {
      this.#isLooking = false;
    }
  }

  async #divide(): Promise<void> {
    const primaries = [...this.#options.groups()].filter(
      ({ state, phase }) => state.role === 'primary' && phase === 'running',
    );
    const { rate } = this;
    // Nothing to divide, and every process knows: no need to ask them each second.
    const isTold = primaries.every(({ process: { pid = 0 } }) => {
      const told = this.#told.get(pid);
      return told?.share === null && told.isSure;
    });
    if (rate === null && isTold) {
      this.#shares = [];
      return;
    }
    const answers = await Promise.all(primaries.map(async (runtime) => demandOf(runtime)));
    const seen = answers.flatMap((one) => (one === undefined ? [] : [one]));
    const silent = primaries
      .filter((_, index) => answers[index] === undefined)
      .map(({ process: { pid = 0 } }) => pid);
    const demands = seen.map(({ demand }) => demand);
    const shares = rate === null ? undefined : divideLimit(rate, demands, this.#sharesOf(silent));
    this.#shares = demands.flatMap(({ name, sent }) => {
      const share = shares?.get(name);
      return share === undefined ? [] : [{ group: name, share, sent }];
    });
    this.#forgetOthers([...silent, ...seen.map(({ pid }) => pid)]);
    // Less comes first, so that at no time more than the limit is given away.
    const news = seen
      .map((one) => ({ ...one, share: shares?.get(one.demand.name) ?? null }))
      .toSorted((a, b) => this.#change(a) - this.#change(b));
    for (const { runtime, pid, share } of news) {
      if (!(await this.#tell(runtime, pid, share))) return;
    }
  }

  /** What processes were told last, bytes per second together. */
  #sharesOf(pids: readonly number[]): number {
    return pids.reduce((sum, pid) => sum + (this.#told.get(pid)?.share ?? 0), 0);
  }

  #change({ pid, share }: { pid: number; share: number | null }): number {
    return (share ?? UNLIMITED) - (this.#told.get(pid)?.share ?? UNLIMITED);
  }

  /** False: whether it took the share over is not known, and nobody else may have more until it is. */
  async #tell(runtime: GroupRuntime, pid: number, share: number | null): Promise<boolean> {
    const told = this.#told.get(pid);
    if (told?.isSure === true && isNearly(told.share, share)) return true;
    try {
      await runtime.bandwidth.tellShare(share);
      this.#told.set(pid, { share, isSure: true });
      return true;
    } catch {
      // It has just ended, or it is told in a second.
      const most = Math.max(share ?? UNLIMITED, told?.share ?? UNLIMITED);
      this.#told.set(pid, { share: most === UNLIMITED ? null : most, isSure: false });
      return false;
    }
  }

  #forgetOthers(pids: readonly number[]): void {
    for (const pid of this.#told.keys()) if (!pids.includes(pid)) this.#told.delete(pid);
  }
}

function isNearly(told: number | null, share: number | null): boolean {
  if (told === null || share === null) return told === share;
  return Math.abs(told - share) < told * WORTH_TELLING;
}

interface SeenGroup {
  readonly runtime: GroupRuntime;
  readonly pid: number;
  readonly demand: GroupDemand;
}

async function demandOf(runtime: GroupRuntime): Promise<SeenGroup | undefined> {
  const { status } = await runtime.view();
  const pid = status?.['pid'];
  if (status === null || status['role'] !== 'primary' || typeof pid !== 'number') return undefined;
  const rates = status['rates'] as { wireBytesPerSecond?: number } | undefined;
  const limit = status['limit'] as { rate?: number | null } | undefined;
  const demand = {
    name: runtime.name,
    sent: rates?.wireBytesPerSecond ?? 0,
    allowed: limit?.rate ?? null,
    own: limitAt(runtime.definition.replication.bandwidth, new Date()).rate,
  };
  return { runtime, pid, demand };
}
