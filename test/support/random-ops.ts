// Random file operations with real system calls, each checked against a model.
//
// node test/support/random-ops.ts DIR [--seed N] [--operations N | --seconds N] [--names N]
//   DIR must exist and be empty. Prints the seed; ends with 1 at the first mismatch and prints the
//   last operations before it.
import { readdirSync } from 'node:fs';
import { parseArgs } from 'node:util';
import * as attributes from './random-ops/attribute-ops.ts';
import * as data from './random-ops/data-ops.ts';
import * as names from './random-ops/name-ops.ts';
import { Mismatch, World } from './random-ops/world.ts';

const OPERATIONS = {
  write: { run: data.write, weight: 20 },
  append: { run: data.append, weight: 8 },
  truncate: { run: data.truncate, weight: 4 },
  fallocate: { run: data.fallocate, weight: 4 },
  copyRange: { run: data.copyRange, weight: 2 },
  mapped: { run: data.mapped, weight: 2 },
  direct: { run: data.direct, weight: 2 },
  fsync: { run: data.fsync, weight: 2 },
  read: { run: data.read, weight: 6 },
  create: { run: names.create, weight: 10 },
  mkdir: { run: names.mkdir, weight: 4 },
  mknod: { run: names.mknod, weight: 2 },
  symlink: { run: names.symlink, weight: 2 },
  link: { run: names.link, weight: 3 },
  rename: { run: names.rename, weight: 9 },
  unlink: { run: names.unlink, weight: 5 },
  rmdir: { run: names.rmdir, weight: 3 },
  tmpfile: { run: names.tmpfile, weight: 2 },
  unlinkOpen: { run: names.unlinkOpen, weight: 2 },
  closeHeld: { run: names.closeHeld, weight: 4 },
  chmod: { run: attributes.chmod, weight: 3 },
  chown: { run: attributes.chown, weight: 3 },
  utimes: { run: attributes.utimes, weight: 3 },
  setxattr: { run: attributes.setxattr, weight: 3 },
  removexattr: { run: attributes.removexattr, weight: 2 },
  acl: { run: attributes.acl, weight: 3 },
  check: { run: attributes.check, weight: 6 },
} as const;

export type OperationName = keyof typeof OPERATIONS;

export interface RandomOpsOptions {
  readonly seed: number;
  /** Different names per directory. Default 40. */
  readonly names?: number;
  /** Default 1 MiB. */
  readonly fileBytesMax?: number;
  /** Files held open at a time. Default 8. */
  readonly heldMax?: number;
  /**
   * The directory is mirrored in part: files that the kernel writes may not move into the mirrored
   * part (EXDEV).
   */
  readonly partly?: boolean;
  /** 0 leaves an operation out. */
  readonly weights?: Partial<Record<OperationName, number>>;
}

/**
 * A generator on an empty directory. It sets the umask of the process to 0. A mismatch is thrown as
 * {@link Mismatch} with the seed and the last operations in its message.
 */
export class RandomOps {
  readonly world: World;
  readonly #bag: OperationName[] = [];

  constructor(dir: string, options: RandomOpsOptions) {
    const present = readdirSync(dir).filter(
      (name) => name !== '.understudy' && name !== 'lost+found',
    );
    if (present.length > 0) throw new Error(`${dir} is not empty: give an empty directory`);
    this.world = new World(dir, {
      seed: options.seed,
      names: options.names ?? 40,
      fileBytesMax: options.fileBytesMax ?? 1 << 20,
      heldMax: options.heldMax ?? 8,
      partly: options.partly ?? false,
    });
    for (const [name, { weight }] of Object.entries(OPERATIONS)) {
      const operation = name as OperationName;
      const count = options.weights?.[operation] ?? weight;
      for (let i = 0; i < count; i += 1) this.#bag.push(operation);
    }
  }

  /** Runs one operation. */
  step(): void {
    OPERATIONS[this.world.random.pick(this.#bag)].run(this.world);
  }

  run(operations: number): void {
    for (let i = 0; i < operations; i += 1) this.step();
  }

  /** Compares the whole tree and all open files with the model. */
  check(): void {
    attributes.checkAll(this.world);
  }

  /** Closes the files held open. */
  close(): void {
    this.world.close();
  }
}

function main(): void {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      seed: { type: 'string', default: String(Math.floor(Math.random() * 1e9)) },
      operations: { type: 'string', default: '10000' },
      seconds: { type: 'string' },
      names: { type: 'string', default: '40' },
    },
  });
  const [dir] = positionals;
  if (dir === undefined) {
    console.error('usage: random-ops.ts DIR [--seed N] [--operations N | --seconds N] [--names N]');
    process.exit(2);
  }
  const seed = Number(values.seed);
  console.log(`seed ${seed}`);
  const generator = new RandomOps(dir, { seed, names: Number(values.names) });
  try {
    if (values.seconds === undefined) generator.run(Number(values.operations));
    else {
      const deadline = Date.now() + Number(values.seconds) * 1000;
      while (Date.now() < deadline) generator.run(50);
    }
    generator.check();
  } catch (mismatch) {
    if (!(mismatch instanceof Mismatch)) throw mismatch;
    console.log(mismatch.message);
    process.exit(1);
  }
  generator.close();
  console.log(`ok: ${generator.world.operations} operations agree with the model`);
}

if (import.meta.main) main();
