// Descriptors outlive the process that has them open, as long as somebody has the sockets.
import { closeSync, mkdtempSync, openSync, readSync, rmSync, unlinkSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { present } from '../core/assert.ts';
import { createStoreSockets, DescriptorStore, type StoreSockets } from './descriptor-store.ts';
import { sys } from './libc.ts';

let sockets: StoreSockets;
let dir: string;
beforeEach(() => {
  const made = createStoreSockets();
  if (typeof made === 'number') throw new Error(`no sockets (${made})`);
  sockets = made;
  dir = mkdtempSync(join(tmpdir(), 'store-'));
});
afterEach(() => {
  sys.close(sockets.store);
  sys.close(sockets.storeEnd);
  rmSync(dir, { recursive: true });
});

/** Keeps a file that contains its number, and has neither name nor descriptor any more. */
function keep(store: DescriptorStore, id: number): void {
  const path = join(dir, String(id));
  const fd = openSync(path, 'w+');
  writeSync(fd, String(id), 0);
  unlinkSync(path);
  expect(store.put({ space: 1, id, check: id + 0.5 }, fd)).toBe(0);
  closeSync(fd);
}

function contents(store: DescriptorStore): string[] {
  return store.all().map(({ id, check, fd }) => {
    const bytes = Buffer.alloc(16);
    const text = bytes.toString('utf8', 0, readSync(fd, bytes, 0, 16, 0));
    closeSync(fd);
    expect([Number(text), check]).toEqual([id, id + 0.5]);
    return text;
  });
}

it('what was put in is found by another one with the same sockets, and again', () => {
  const store = new DescriptorStore(sockets);
  for (const id of [1, 2, 3]) keep(store, id);
  const next = new DescriptorStore(sockets);
  expect(contents(next)).toEqual(['1', '2', '3']);
  expect(next.size).toBe(3);
  expect(contents(new DescriptorStore(sockets)).toSorted()).toEqual(['1', '2', '3']);
});

it('is removed from anywhere in the queue; what is not there is not', () => {
  const store = new DescriptorStore(sockets);
  for (const id of [1, 2, 3, 4]) keep(store, id);
  store.remove(1, 3);
  store.remove(1, 3);
  store.remove(2, 1);
  store.remove(1, 1);
  expect(store.size).toBe(2);
  expect(contents(store).toSorted()).toEqual(['2', '4']);
});

it('a process that died while it moved something leaves it twice: it counts once', () => {
  const store = new DescriptorStore(sockets);
  keep(store, 1);
  keep(store, 2);
  const first = present(new DescriptorStore(sockets).all()[0], 'one that is kept');
  // Sent to the end, not yet taken from the front.
  new DescriptorStore(sockets).put(first, first.fd);
  closeSync(first.fd);
  const next = new DescriptorStore(sockets);
  expect(contents(next).toSorted()).toEqual(['1', '2']);
  next.remove(1, 1);
  expect(contents(next)).toEqual(['2']);
});

it('holds hundreds', () => {
  const store = new DescriptorStore(sockets);
  for (let id = 0; id < 300; id += 1) keep(store, id);
  expect(contents(new DescriptorStore(sockets))).toHaveLength(300);
});

it('a full one refuses, and gives everything back', () => {
  const store = new DescriptorStore(sockets);
  const fd = openSync(dir, 'r');
  let kept = 0;
  while (store.put({ space: 1, id: kept, check: 0 }, fd) === 0) kept += 1;
  expect(kept).toBeGreaterThan(2000);
  store.remove(1, kept >> 1);
  expect(store.put({ space: 1, id: kept, check: 0 }, fd)).toBe(0);
  const found = new DescriptorStore(sockets).all();
  for (const one of found) closeSync(one.fd);
  closeSync(fd);
  expect(found).toHaveLength(kept);
});

it('thousands are removed in any order in a moment, and none of them stays open', () => {
  const store = new DescriptorStore(sockets);
  for (let id = 0; id < 3000; id += 1) keep(store, id);
  const from = performance.now();
  for (let id = 2999; id > 0; id -= 1) store.remove(1, id);
  expect(performance.now() - from).toBeLessThan(4000);
  store.sweep();
  expect(store.size).toBe(1);
  expect(contents(new DescriptorStore(sockets))).toEqual(['0']);
});
