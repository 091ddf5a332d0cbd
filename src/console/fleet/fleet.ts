// All nodes of a console, watched; what changes is told to whoever listens.
import { UnderstudyError } from '../../core/errors.ts';
import type { NodeDial } from '../nodes/node-dial.ts';
import { nodeUnknown } from '../nodes/node-store.ts';
import { NodeWatch } from './node-watch.ts';
import { fleetOverview, type FleetOverview, type GroupOverview } from './overview.ts';

/** A group is told at most so often, unless its roles or its level change. */
const GROUP_EVERY_MS = 2000;
const REFRESH_MS = 5000;

/** A node that is to be watched. */
export interface FleetNode {
  readonly id: string;
  readonly dial: () => NodeDial;
  /** Changes when the node has to be dialled anew. */
  readonly key: string;
}

export type FleetMessage =
  | { readonly name: 'node'; readonly data: FleetOverview['nodes'][number] }
  | { readonly name: 'group'; readonly data: GroupOverview }
  | {
      readonly name: 'removed';
      readonly data: { readonly nodes: string[]; readonly groups: string[] };
    }
  | { readonly name: 'counts'; readonly data: FleetOverview['counts'] }
  | { readonly name: 'event'; readonly data: { readonly node: string; readonly event: unknown } }
  | {
      readonly name: 'operation';
      readonly data: { readonly node: string; readonly operation: unknown };
    };

export class Fleet {
  readonly #nodes: () => readonly FleetNode[];
  readonly #watches = new Map<string, { readonly watch: NodeWatch; readonly key: string }>();
  readonly #listeners = new Set<(message: FleetMessage) => void>();
  readonly #told = new Map<string, { text: string; mark: string; atMs: number }>();
  #timer: NodeJS.Timeout | undefined;
  #pending: NodeJS.Timeout | undefined;

  /** `nodes`: which there are now. */
  constructor(nodes: () => readonly FleetNode[]) {
    this.#nodes = nodes;
  }

  start(): void {
    this.refresh();
    this.#timer = setInterval(() => this.refresh(), REFRESH_MS);
  }

  stop(): void {
    clearInterval(this.#timer);
    clearTimeout(this.#pending);
    for (const { watch } of this.#watches.values()) watch.stop();
    this.#watches.clear();
  }

  /** Nodes may have been added or removed. */
  refresh(): void {
    const wanted = new Map(this.#nodes().map((node) => [node.id, node]));
    for (const [id, { watch, key }] of this.#watches) {
      if (wanted.get(id)?.key === key) continue;
      watch.stop();
      this.#watches.delete(id);
    }
    for (const node of wanted.values()) {
      if (!this.#watches.has(node.id)) this.#add(node);
    }
    this.#tellSoon();
  }

  overview(): FleetOverview {
    const known = [...this.#watches.values()].map(({ watch }) => watch.knowledge);
    return fleetOverview(known, Date.now());
  }

  /** Errors: NODE_UNKNOWN. */
  dial(id: string): NodeDial {
    const found = this.#watches.get(id);
    if (found !== undefined) return found.watch.dial;
    throw nodeUnknown(id);
  }

  /** A node that answers, any. Errors: NODE_UNREACHABLE. */
  anyDial(): NodeDial {
    for (const { watch } of this.#watches.values()) {
      if (watch.knowledge.isReachable) return watch.dial;
    }
    throw new UnderstudyError('NODE_UNREACHABLE', 'no node of this console answers at present');
  }

  /** Tells every change of the {@link overview} of this moment. Returns how to stop that. */
  listen(listener: (message: FleetMessage) => void): () => void {
    // What was told last, and to others, is no longer so: going back to it is a change.
    this.#tellChanges(false);
    this.#listeners.add(listener);
    this.#wake();
    return () => {
      this.#listeners.delete(listener);
      this.#wake();
    };
  }

  #add({ id, dial, key }: FleetNode): void {
    const watch = new NodeWatch({
      id,
      dial: dial(),
      onKnowledge: () => this.#tellSoon(),
      onMessage: (name, data) => {
        if (name === 'event') this.#tell({ name, data: { node: id, event: data } });
        if (name === 'operation') this.#tell({ name, data: { node: id, operation: data } });
      },
    });
    this.#watches.set(id, { watch, key });
    watch.setAwake(this.#listeners.size > 0);
    watch.start();
  }

  #wake(): void {
    for (const { watch } of this.#watches.values()) watch.setAwake(this.#listeners.size > 0);
  }

  /** Many nodes may change at once: one look for all. */
  #tellSoon(): void {
    this.#pending ??= setTimeout(() => {
      this.#pending = undefined;
      if (this.#listeners.size > 0) this.#tellChanges(true);
    }, 100);
  }

  /** `mayWait`: a group that was told of a moment ago. */
  #tellChanges(mayWait: boolean): void {
    const { nodes, groups, counts } = this.overview();
    const seen = new Set<string>();
    for (const node of nodes) {
      const { ageMs: _age, seenAt: _seen, ...lasting } = node;
      const key = `node ${node.id}`;
      seen.add(key);
      this.#tellIfChanged(key, { name: 'node', data: node }, { text: JSON.stringify(lasting) });
    }
    for (const group of groups) {
      const { ageMs: _age, ...lasting } = group;
      const mark = `${group.level} ${group.primary ?? ''} ${group.epoch} ${group.copy}`;
      const key = `group ${group.groupId}`;
      seen.add(key);
      const change = { text: JSON.stringify(lasting), mark, mayWait };
      this.#tellIfChanged(key, { name: 'group', data: group }, change);
    }
    this.#tellRemoved(seen);
    this.#tellIfChanged(
      'counts',
      { name: 'counts', data: counts },
      { text: JSON.stringify(counts) },
    );
  }

  #tellIfChanged(
    key: string,
    message: FleetMessage,
    { text, mark = '', mayWait = false }: { text: string; mark?: string; mayWait?: boolean },
  ): void {
    const before = this.#told.get(key);
    if (before?.text === text) return;
    const now = performance.now();
    const isSoon = before !== undefined && now - before.atMs < GROUP_EVERY_MS;
    if (mayWait && isSoon && before.mark === mark) {
      this.#tellSoon();
      return;
    }
    this.#told.set(key, { text, mark, atMs: now });
    this.#tell(message);
  }

  #tellRemoved(seen: ReadonlySet<string>): void {
    const gone = [...this.#told.keys()].filter((key) => key !== 'counts' && !seen.has(key));
    if (gone.length === 0) return;
    for (const key of gone) this.#told.delete(key);
    const idsOf = (kind: string): string[] =>
      gone.filter((key) => key.startsWith(kind)).map((key) => key.slice(kind.length));
    this.#tell({ name: 'removed', data: { nodes: idsOf('node '), groups: idsOf('group ') } });
  }

  #tell(message: FleetMessage): void {
    for (const listener of this.#listeners) listener(message);
  }
}
