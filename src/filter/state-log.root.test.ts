// The tables of a filter as another process finds them in the log: after any changes, after the log was
// rewritten, and not at all when it is not complete.
import * as fs from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { createRingControl, RingProducer } from '../core/byte-ring.ts';
import { createStoreSockets, DescriptorStore } from '../linux/descriptor-store.ts';
import { O } from '../linux/constants.ts';
import { cstring, sys } from '../linux/libc.ts';
import { Capture } from './capture.ts';
import { CommitGate } from './commit-gate.ts';
import { createGateMemory } from './gate-memory.ts';
import { Handle } from './handle-table.ts';
import { InodeTable } from './inode-table.ts';
import { Intent } from './intent.ts';
import { Mount } from './mount.ts';
import type { Node } from './node.ts';
import { makeOrphan } from './operations/creation.ts';
import { Patterns } from '../core/patterns.ts';
import { restoreTables } from './restore.ts';
import { SharedState, word } from './shared-state.ts';
import { MountLog, StateLog } from './state-log.ts';

const PER_DIRECTORY = 100;

let dir: string;
let rootFd: number;
let state: SharedState;
let store: DescriptorStore;
beforeEach(() => {
  dir = fs.mkdtempSync(join(tmpdir(), 'state-log-'));
  rootFd = fs.openSync(dir, 'r');
  state = SharedState.create('test', 4096);
  const sockets = createStoreSockets();
  if (typeof sockets === 'number') throw new Error('no sockets');
  store = new DescriptorStore(sockets);
});
afterEach(() => {
  fs.closeSync(rootFd);
  sys.close(state.fd);
  fs.rmSync(dir, { recursive: true });
});

interface Tables {
  readonly log: StateLog;
  readonly mount: Mount;
}

/** Tables over the directory that write to the log, as each process has them. */
function open(): Tables {
  const seen = SharedState.open(state.fd);
  const log = new StateLog(seen);
  const mountLog = new MountLog(log, seen, 0);
  const capture = new Capture(new RingProducer(seen.ring(createRingControl())), 1, 1);
  const mount = new Mount({
    index: 0,
    directory: dir,
    fuseFd: -1,
    inodes: new InodeTable(rootFd, new Patterns(['**'], []), 64, mountLog),
    capture,
    gate: new CommitGate(createGateMemory()),
    log: mountLog,
    intent: new Intent(seen, 0),
    store,
  });
  return { log, mount };
}

function succeed(): Tables {
  const next = open();
  restoreTables(next.log, [next.mount], store);
  return next;
}

/** The kernel hears of a name. */
function tell({ mount }: Tables, parent: Node, name: string): Node {
  const node = mount.inodes.lookup(parent, cstring(name), name);
  if (typeof node === 'number') throw new Error(`${name}: ${node}`);
  mount.inodes.told(node);
  return node;
}

function describe({ mount }: Tables): string[] {
  const lines = [...mount.inodes.nodes()].map((node) => {
    const names = node.names().map(({ parent, name }) => `${parent.nodeid}/${name}`);
    const { nodeid, generation, type, deleted, orphanPath, opens, children, isDirectory } = node;
    const known = node.isRoot || node.lookups > 0;
    const own = [nodeid, generation, type, deleted, orphanPath, opens, children, known];
    return `${own.join(' ')} ${isDirectory} ${names.toSorted().join(' ')}`;
  });
  for (const [fh, { node, flags }] of mount.handles.entries())
    lines.push(`fh ${fh} ${node.nodeid} ${flags}`);
  return lines.toSorted();
}

function makeTree(directories: number): void {
  for (let d = 0; d < directories; d += 1) {
    fs.mkdirSync(join(dir, `directory-${d}`));
    for (let f = 0; f < PER_DIRECTORY; f += 1)
      fs.writeFileSync(join(dir, `directory-${d}`, `a file with number ${f}`), '');
  }
}

function tellTree(tables: Tables, directories: number): void {
  for (let d = 0; d < directories; d += 1) {
    const directory = tell(tables, tables.mount.inodes.root, `directory-${d}`);
    for (let f = 0; f < PER_DIRECTORY; f += 1) tell(tables, directory, `a file with number ${f}`);
  }
}

/** Renames, links, removes, opens and closes, as the operations do. */
function change(tables: Tables): void {
  const { mount } = tables;
  const { inodes, handles } = mount;
  const root = inodes.root;
  const first = tell(tables, root, 'directory-0');
  const second = tell(tables, root, 'directory-1');
  const file = tell(tables, first, 'a file with number 1');
  inodes.moveName(first, { parent: root, name: 'directory-0' }, { parent: second, name: 'moved' });
  inodes.addName(file, root, 'linked');
  inodes.dropName(file, first, 'a file with number 1');
  const gone = tell(tables, first, 'a file with number 2');
  const flags = O.RDWR | O.CLOEXEC;
  const openAs = (node: Node): number => {
    const fh = handles.add(new Handle(node, inodes.open(node, flags), flags, false));
    node.opens += 1;
    return fh;
  };
  openAs(gone);
  inodes.setDeleted(gone);
  const orphan = tell(tables, first, 'a file with number 3');
  openAs(orphan);
  inodes.dropName(orphan, first, 'a file with number 3');
  makeOrphan(mount, orphan);
  const closed = tell(tables, first, 'a file with number 4');
  const fh = openAs(closed);
  const handle = handles.remove(fh);
  if (handle !== undefined) sys.close(handle.fd);
  closed.opens -= 1;
  inodes.forget(tell(tables, first, 'a file with number 5').nodeid, 1000);
}

it('names, links, moved directories, open, removed and nameless files', () => {
  makeTree(3);
  const tables = open();
  tellTree(tables, 3);
  change(tables);
  tables.log.flush();
  const next = succeed();
  expect(describe(next)).toEqual(describe(tables));
  // And the third process finds what the second one changed.
  tell(next, next.mount.inodes.root, 'directory-2');
  next.mount.inodes.forget(tell(next, next.mount.inodes.root, 'directory-2').nodeid, 1000);
  next.log.flush();
  expect(describe(succeed())).toEqual(describe(next));
});

it('a log that was rewritten says the same in less, and goes on', () => {
  makeTree(40);
  const tables = open();
  tellTree(tables, 40);
  for (let round = 0; round < 200; round += 1) {
    const { inodes } = tables.mount;
    const node = tell(tables, inodes.root, `directory-${round % 40}`);
    const from = { parent: inodes.root, name: `directory-${round % 40}` };
    const to = { parent: inodes.root, name: `${'another name '.repeat(15)}${round}` };
    inodes.moveName(node, from, to);
    inodes.moveName(node, to, from);
  }
  change(tables);
  tables.log.flush();
  const before = tables.log.size;
  const { inodes, handles } = tables.mount;
  tables.log.rewrite([{ index: 0, nodes: () => inodes.nodes(), handles: () => handles.entries() }]);
  expect(tables.log.size).toBeLessThan(before * 0.9);
  const perFile = tables.log.size / inodes.size;
  expect(perFile).toBeLessThan(90);
  expect(describe(succeed())).toEqual(describe(tables));
  const node = tell(tables, inodes.root, 'directory-3');
  inodes.forget(tell(tables, node, 'a file with number 7').nodeid, 1000);
  tables.log.flush();
  expect(describe(succeed())).toEqual(describe(tables));
});

it('any entry may be the first one of a larger window', () => {
  const tables = open();
  const { log, mount } = tables;
  const root = new Handle(mount.inodes.root, rootFd, O.RDONLY, false);
  // Entries of 32 bytes fill the first window of 1 MiB to its last byte.
  for (let fh = 1; log.size < 1024 * 1024; fh += 1) log.opened(0, fh, root);
  expect(log.size).toBe(1024 * 1024);
  log.closed(0, 7);
  log.flush();
  expect(log.size).toBe(1024 * 1024 + 24);
  const { view, length } = new StateLog(SharedState.open(state.fd)).entries;
  expect([length, view.getUint32(1024 * 1024 + 4, true)]).toEqual([1024 * 1024 + 24, 7]);
});

it('what was not flushed has not happened', () => {
  makeTree(1);
  const tables = open();
  tellTree(tables, 1);
  tables.log.flush();
  const before = describe(tables);
  const { inodes } = tables.mount;
  inodes.setDeleted(tell(tables, tell(tables, inodes.root, 'directory-0'), 'a file with number 1'));
  expect(describe(succeed())).toEqual(before);
});

it('a state that is not complete, or of another version, is of no use', () => {
  expect(state.isUsable).toBe(true);
  Atomics.store(state.words, word.logBroken, 1);
  expect(SharedState.open(state.fd).isUsable).toBe(false);
  Atomics.store(state.words, word.logBroken, 0);
  Atomics.store(state.words, word.version, 99);
  expect(SharedState.open(state.fd).isUsable).toBe(false);
});

it('each word has its place: flags change no note', () => {
  for (const value of ['first', 'second', 'third']) {
    state.note = value;
    const flags = [word.enabled, word.scanning, word.logBroken, word.lacking];
    for (const flag of flags) Atomics.store(state.words, flag, 1);
    expect(state.note).toBe(value);
    for (const flag of flags) Atomics.store(state.words, flag, 0);
    expect(state.note).toBe(value);
  }
});
