// One object that the kernel knows by number. What the fields mean together is InodeTable's business.
import { S } from '../linux/constants.ts';
import { ROOT_ID } from './fuse-protocol.ts';

/** An entry of a directory. */
export interface NodeName {
  readonly parent: Node;
  readonly name: string;
}

/** One known object. Fields are owned by InodeTable unless said otherwise. */
export class Node {
  readonly nodeid: number;
  /** From the file handle; tells a reused inode number from the object before it. */
  readonly generation: number;
  /** Complete handle when it is not of the compact kind. */
  wideHandle: Uint8Array | undefined;
  /** Type bits of the mode. */
  readonly type: number;
  /** First known name; no parent: none is known. */
  parent: Node | undefined = undefined;
  name = '';
  /** Further known names of a file with several. */
  others: NodeName[] | undefined;
  /** Every captured name is among the known ones: see names.ts. */
  namesComplete = false;
  /** References that the kernel holds. */
  lookups = 0;
  /** Nodes that have a name in this directory. */
  children = 0;
  /** O_PATH descriptor of the descriptor cache, and its place there. */
  fd = -1;
  slot = -1;
  referenced = false;
  /** No name is left: changes need no record any more. */
  deleted = false;
  /** Path on the standby of a file that is open but has no name here (below `.understudy/`). */
  orphanPath: string | undefined;
  /** Open files of applications; owned by the open family. */
  opens = 0;
  /** Users within the filter; owned by the scanner. */
  pins = 0;
  /** A descriptor that reads or writes the file, -1 when no application has it open. */
  openFd = -1;
  /** How the kernel has the file open: id of the backing file, 0 when not by passthrough. */
  backingId = 0;
  passthroughOpens = 0;
  /** `Capture.period` in which a commit brought its times to the disk; owned by the commit gate. */
  timesSyncedIn = -1;
  /** How far it is in the log: see state-log.ts. */
  logged = 0;
  /** It has no name and is kept for a successor: see linux/descriptor-store.ts. */
  isKept = false;
  /** Directories: whether new entries inherit an ACL; undefined = not looked yet. */
  hasDefaultAcl: boolean | undefined;
  #path = '';
  #captured = false;
  #pathEpoch = -1;

  constructor(nodeid: number, generation: number, type: number) {
    this.nodeid = nodeid;
    this.generation = generation;
    this.type = type;
  }

  get isDirectory(): boolean {
    return this.type === S.IFDIR;
  }

  get isRoot(): boolean {
    return this.nodeid === ROOT_ID;
  }

  /** Number of known names. */
  get nameCount(): number {
    return this.parent === undefined ? 0 : 1 + (this.others?.length ?? 0);
  }

  /** Known names, the first one first. */
  names(): NodeName[] {
    if (this.parent === undefined) return [];
    return [{ parent: this.parent, name: this.name }, ...(this.others ?? [])];
  }

  isNamed(parent: Node, name: string): boolean {
    if (this.parent === parent && this.name === name) return true;
    if (this.others === undefined) return false;
    return this.others.some((other) => other.parent === parent && other.name === name);
  }

  cachedPath(epoch: number): string | undefined {
    return this.#pathEpoch === epoch ? this.#path : undefined;
  }

  get cachedCaptured(): boolean {
    return this.#captured;
  }

  rememberPath(path: string, captured: boolean, epoch: number): void {
    this.#path = path;
    this.#captured = captured;
    this.#pathEpoch = epoch;
  }

  forgetPath(): void {
    this.#pathEpoch = -1;
  }
}
