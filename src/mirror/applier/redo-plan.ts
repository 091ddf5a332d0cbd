// After a crash: where the objects of records are that come before the marked change of names.
//
// Records from the checkpoint on are applied again. Up to the marker (see `marker.ts`) all changes of
// names are on the disk already, but contents may not be. A record says where its object was then;
// this is where it is now. The plan plays the changes of names between checkpoint and marker on a
// tree in memory, remembers for each record which object it is about, and afterwards knows where that
// object ended, or that it is gone.
//
// Nothing is known about the tree at the checkpoint, and nothing needs to be: an object that a path
// leads to is made up on the way. Pure: no I/O.
import { assert } from '../../core/assert.ts';
import { nameOf, parentOf } from './paths.ts';

/** What a record does to names. Data and attributes do nothing to them: `touch`. */
export type NameChange = 'touch' | 'create' | 'link' | 'rename' | 'exchange' | 'remove';

/** What the plan has to know of a record. */
export interface PlannedRecord {
  readonly sequence: number;
  readonly change: NameChange;
  readonly path: string;
  /** Second path of `link`, `rename` and `exchange`, else empty. */
  readonly path2: string;
}

class PlanObject {
  readonly children = new Map<string, PlanName>();
  readonly names = new Set<PlanName>();
  /** Binding of all records that are about this object only. */
  readonly touch: Binding = { object: this, parent: undefined, parent2: undefined };
}

/** A name: an edge of the tree. */
interface PlanName {
  readonly parent: PlanObject;
  readonly name: string;
  readonly object: PlanObject;
}

/** Objects of one record; undefined where the record has none. */
interface Binding {
  readonly object: PlanObject | undefined;
  readonly parent: PlanObject | undefined;
  readonly parent2: PlanObject | undefined;
}

/** Paths now; undefined: gone (or the record has no such path). */
export interface PlannedPaths {
  readonly object: string | undefined;
  readonly parent: string | undefined;
  readonly parent2: string | undefined;
}

const NOTHING: PlannedPaths = { object: undefined, parent: undefined, parent2: undefined };

export class RedoPlan {
  readonly #root = new PlanObject();
  /** By sequence, counted from `#first`. */
  readonly #bindings: (Binding | undefined)[] = [];
  readonly #first: number;

  /** `first` is the sequence of the first record that may be added. */
  constructor(first: number) {
    this.#first = first;
  }

  /** Adds the next record, in order. The last one added is the one before the marker. */
  add(record: PlannedRecord): void {
    const index = record.sequence - this.#first;
    assert(index >= this.#bindings.length, 'records are planned in their order');
    // Records of other directories have no binding in this plan.
    while (this.#bindings.length < index) this.#bindings.push(undefined);
    this.#bindings.push(this.#bind(record));
  }

  #bind({ change, path, path2 }: PlannedRecord): Binding {
    if (change === 'touch') return this.#resolve(path).touch;
    const parent = path === '' ? undefined : this.#resolve(parentOf(path));
    const parent2 = path2 === '' ? undefined : this.#resolve(parentOf(path2));
    if (change === 'remove') {
      this.#remove(path);
      return { object: undefined, parent, parent2 };
    }
    if (change === 'create') this.#create(path);
    else if (change === 'link') this.#link(path, path2);
    else if (change === 'rename') this.#rename(path, path2);
    else if (change === 'exchange') this.#exchange(path, path2);
    const moved = change === 'rename' || change === 'link' || change === 'exchange';
    return { object: this.#resolve(moved ? path2 : path), parent, parent2 };
  }

  /** Where the objects of the record are after the last change of names that was added. */
  paths(sequence: number): PlannedPaths {
    const binding = this.#bindings[sequence - this.#first];
    if (binding === undefined) return NOTHING;
    return {
      object: this.#pathOf(binding.object),
      parent: this.#pathOf(binding.parent),
      parent2: this.#pathOf(binding.parent2),
    };
  }

  /** By any of its names that can be reached. */
  #pathOf(object: PlanObject | undefined): string | undefined {
    if (object === undefined) return undefined;
    if (object === this.#root) return '';
    for (const { parent, name } of object.names) {
      const directory = this.#pathOf(parent);
      if (directory !== undefined) return directory === '' ? name : `${directory}/${name}`;
    }
    return undefined;
  }

  /** The object at `path`, made up where nothing is known. */
  #resolve(path: string): PlanObject {
    let at = this.#root;
    if (path === '') return at;
    for (const name of path.split('/')) {
      at = at.children.get(name)?.object ?? attach(at, name, new PlanObject());
    }
    return at;
  }

  #create(path: string): void {
    this.#remove(path);
    attach(this.#resolve(parentOf(path)), nameOf(path), new PlanObject());
  }

  #link(path: string, path2: string): void {
    const object = this.#resolve(path);
    this.#remove(path2);
    attach(this.#resolve(parentOf(path2)), nameOf(path2), object);
  }

  #rename(path: string, path2: string): void {
    const object = this.#resolve(path);
    this.#remove(path);
    this.#remove(path2);
    attach(this.#resolve(parentOf(path2)), nameOf(path2), object);
  }

  #exchange(path: string, path2: string): void {
    const first = this.#resolve(path);
    const second = this.#resolve(path2);
    this.#remove(path);
    this.#remove(path2);
    attach(this.#resolve(parentOf(path2)), nameOf(path2), first);
    attach(this.#resolve(parentOf(path)), nameOf(path), second);
  }

  #remove(path: string): void {
    const parent = this.#resolve(parentOf(path));
    const name = parent.children.get(nameOf(path));
    if (name === undefined) return;
    parent.children.delete(name.name);
    name.object.names.delete(name);
  }
}

function attach(parent: PlanObject, name: string, object: PlanObject): PlanObject {
  const edge: PlanName = { parent, name, object };
  parent.children.set(name, edge);
  object.names.add(edge);
  return object;
}
