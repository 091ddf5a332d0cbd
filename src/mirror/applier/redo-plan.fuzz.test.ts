// The plan against a model: a disk that has all changes of names up to the crash, and of the contents
// any part. Contents written again where the plan says must give what an undisturbed run gives.
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type NameChange, type PlannedRecord, RedoPlan } from './redo-plan.ts';

/** An inode: what each record left in it. Directories have children. */
class Inode {
  readonly isDirectory: boolean;
  readonly children = new Map<string, Inode>();
  readonly written = new Map<number, number>();

  constructor(isDirectory: boolean) {
    this.isDirectory = isDirectory;
  }
}

interface Step {
  readonly change: NameChange | 'mkdir' | 'write';
  readonly a: readonly number[];
  readonly b: readonly number[];
  readonly cell: number;
}

const parentOf = (path: string): string => path.split('/').slice(0, -1).join('/');
const nameOf = (path: string): string => path.split('/').at(-1) ?? '';

/** A tiny file system with the rules of Linux. */
class Model {
  root = new Inode(true);

  find(path: string): Inode | undefined {
    let at: Inode | undefined = this.root;
    for (const name of path === '' ? [] : path.split('/')) at = at?.children.get(name);
    return at;
  }

  /** All paths, in order of the walk. */
  paths(): string[] {
    const found: string[] = [];
    const walk = (inode: Inode, top: string): void => {
      for (const [name, child] of inode.children) {
        const path = top === '' ? name : `${top}/${name}`;
        found.push(path);
        walk(child, path);
      }
    };
    walk(this.root, '');
    return found;
  }

  put(path: string, inode: Inode): void {
    this.find(parentOf(path))?.children.set(nameOf(path), inode);
  }

  drop(path: string): void {
    this.find(parentOf(path))?.children.delete(nameOf(path));
  }

  /** Contents by path. */
  contents(): unknown {
    return this.paths().map((path) => [path, [...(this.find(path)?.written ?? [])].sort()]);
  }
}

/** Turns a step into a record that is valid now, and does it; undefined when it cannot be. */
function perform(model: Model, step: Step, sequence: number): PlannedRecord | undefined {
  const paths = model.paths();
  const pick = (numbers: readonly number[]): string =>
    paths[(numbers[0] ?? 0) % paths.length] ?? '';
  const directories = ['', ...paths.filter((path) => model.find(path)?.isDirectory)];
  const parent = directories[(step.b[0] ?? 0) % directories.length] ?? '';
  const free = `${parent === '' ? '' : `${parent}/`}${'abcd'[(step.b[1] ?? 0) % 4]}`;
  const path = pick(step.a);
  const inode = model.find(path);
  const target = model.find(free);
  const record = (change: NameChange, from: string, to = ''): PlannedRecord => {
    return { sequence, change, path: from, path2: to };
  };
  if (step.change === 'create' || step.change === 'mkdir') {
    if (target !== undefined || free.split('/').length > 4) return undefined;
    model.put(free, new Inode(step.change === 'mkdir'));
    return record('create', free);
  }
  if (path === '' || inode === undefined) return undefined;
  if (step.change === 'write' || step.change === 'touch') {
    if (inode.isDirectory) return undefined;
    inode.written.set(step.cell, sequence);
    return record('touch', path);
  }
  if (step.change === 'remove') {
    if (inode.children.size > 0) return undefined;
    model.drop(path);
    return record('remove', path);
  }
  const nested = isWithin(free, path) || isWithin(path, free);
  if (nested || inode === target) return undefined;
  if (step.change === 'link') {
    if (inode.isDirectory || target !== undefined) return undefined;
    model.put(free, inode);
    return record('link', path, free);
  }
  if (step.change === 'exchange') {
    if (target === undefined) return undefined;
    model.put(free, inode);
    model.put(path, target);
    return record('exchange', path, free);
  }
  if (target !== undefined && target.isDirectory !== inode.isDirectory) return undefined;
  if ((target?.children.size ?? 0) > 0) return undefined;
  model.drop(path);
  model.put(free, inode);
  return record('rename', path, free);
}

const isWithin = (path: string, top: string): boolean => path === top || path.startsWith(`${top}/`);

const CHANGES: Step['change'][] = [
  'create',
  'mkdir',
  'write',
  'write',
  'write',
  'link',
  'rename',
  'exchange',
  'remove',
];
const numbers = fc.tuple(fc.nat(1000), fc.nat(1000));
const steps = fc.array(
  fc.record({ change: fc.constantFrom(...CHANGES), a: numbers, b: numbers, cell: fc.nat(3) }),
  { minLength: 5, maxLength: 60 },
);

describe('RedoPlan', () => {
  it('finds every object again, wherever it went', () => {
    fc.assert(
      fc.property(steps, fc.nat(30), fc.infiniteStream(fc.boolean()), (all, before, persisted) => {
        const model = new Model();
        let sequence = 0;
        for (const step of all.slice(0, before)) perform(model, step, (sequence += 1));
        // The checkpoint is here: everything so far is on the disk. Files have one name each, as far
        // as the plan knows; the applier sees to it that no unknown second name gets lost.
        if (hasSecondNames(model)) return;
        const plan = new RedoPlan(sequence + 1);
        const atCheckpoint = copyWritten(model);
        const records: { record: PlannedRecord; step: Step }[] = [];
        for (const step of all.slice(before)) {
          const record = perform(model, step, sequence + 1);
          if (record === undefined) continue;
          sequence += 1;
          records.push({ record, step });
          plan.add(record);
        }
        const expected = JSON.stringify(model.contents());
        crash(model, atCheckpoint, persisted);
        for (const { record, step } of records) {
          const { object } = plan.paths(record.sequence);
          if (record.change !== 'touch' || object === undefined) continue;
          const inode = model.find(object);
          expect(inode?.isDirectory).toBe(false);
          inode?.written.set(step.cell, record.sequence);
        }
        expect(JSON.stringify(model.contents())).toBe(expected);
      }),
      { numRuns: 2000 },
    );
  });

  it('knows the parents of both paths', () => {
    const plan = new RedoPlan(1);
    plan.add({ sequence: 1, change: 'create', path: 'a/x', path2: '' });
    plan.add({ sequence: 2, change: 'rename', path: 'a/x', path2: 'b/y' });
    plan.add({ sequence: 3, change: 'remove', path: 'c/z', path2: '' });
    plan.add({ sequence: 4, change: 'exchange', path: 'a', path2: 'b' });
    plan.add({ sequence: 5, change: 'rename', path: 'c', path2: 'd' });
    plan.add({ sequence: 6, change: 'remove', path: 'b', path2: '' });
    expect(plan.paths(1)).toEqual({ object: 'a/y', parent: undefined, parent2: undefined });
    expect(plan.paths(2)).toEqual({ object: 'a/y', parent: undefined, parent2: 'a' });
    expect(plan.paths(3)).toEqual({ object: undefined, parent: 'd', parent2: undefined });
    expect(plan.paths(5)).toEqual({ object: 'd', parent: '', parent2: '' });
    expect(plan.paths(7)).toEqual({ object: undefined, parent: undefined, parent2: undefined });
  });
});

function hasSecondNames(model: Model): boolean {
  const files = model.paths().map((path) => model.find(path));
  return new Set(files).size !== files.length;
}

function copyWritten(model: Model): Map<Inode, Map<number, number>> {
  const copy = new Map<Inode, Map<number, number>>();
  for (const path of model.paths()) {
    const inode = model.find(path);
    if (inode !== undefined) copy.set(inode, new Map(inode.written));
  }
  return copy;
}

/** Of what was written since the checkpoint, any part is lost. */
function crash(
  model: Model,
  atCheckpoint: Map<Inode, Map<number, number>>,
  persisted: Iterator<boolean>,
): void {
  for (const inode of new Set(model.paths().map((path) => model.find(path)))) {
    if (inode === undefined) continue;
    const before = atCheckpoint.get(inode);
    for (const cell of inode.written.keys()) {
      if (persisted.next().value === true) continue;
      const old = before?.get(cell);
      if (old === undefined) inode.written.delete(cell);
      else inode.written.set(cell, old);
    }
  }
}
