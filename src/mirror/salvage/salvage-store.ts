// The salvages of a group on its node: one directory each, complete or not there.
//
//   .making-NAME ──keep──▶ NAME ──remove──▶ .removing-NAME ──▶ gone
//
//   NAME/report.json   what there is (salvage-report.ts)
//   NAME/files/…       versions of this node as they were
//   NAME/ranges/…      sparse files that have only what differed, where all of it was too much
//
// With several protected directories each has its own below files and ranges: `0-NAME`, `1-NAME` ….
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { messageOf, UnderstudyError } from '../../core/errors.ts';
import { syncDirectory } from '../../journal/replace-file.ts';
import { isSalvageName, reportSchema, type SalvageReport } from './salvage-report.ts';

export const REPORT_FILE = 'report.json';
const MAKING = '.making-';
const REMOVING = '.removing-';
const REPORT_BYTES_MAX = 64 * 1024 * 1024;

export class SalvageStore {
  readonly directory: string;
  readonly #group: string;

  /** Makes nothing until something is kept. */
  constructor(directory: string, group: string) {
    this.directory = directory;
    this.#group = group;
  }

  /** Names of what is kept, the newest first. */
  get names(): string[] {
    try {
      return readdirSync(this.directory).filter(isSalvageName).toSorted().toReversed();
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
      throw error;
    }
  }

  has(name: string): boolean {
    return isSalvageName(name) && existsSync(join(this.directory, name));
  }

  /** Where it is. Errors: SALVAGE_UNKNOWN. */
  path(name: string): string {
    if (this.has(name)) return join(this.directory, name);
    throw new UnderstudyError(
      'SALVAGE_UNKNOWN',
      `this node has no salvage "${name}" of group ${this.#group}: see "understudy salvage list ${this.#group}"`,
    );
  }

  /** Errors: SALVAGE_UNKNOWN, SALVAGE_DAMAGED. */
  read(name: string): SalvageReport {
    const path = join(this.path(name), REPORT_FILE);
    try {
      const text = readFileSync(path, 'utf8');
      if (text.length > REPORT_BYTES_MAX) throw new Error('it is too large');
      return reportSchema.parse(JSON.parse(text));
    } catch (cause) {
      throw new UnderstudyError(
        'SALVAGE_DAMAGED',
        `${path} cannot be read: ${messageOf(cause)}; the files beside it can be looked at all the same`,
        { cause },
      );
    }
  }

  /** An empty directory to make a salvage in. */
  begin(name: string): string {
    const path = join(this.directory, `${MAKING}${name}`);
    rmSync(path, { recursive: true, force: true });
    mkdirSync(path, { recursive: true, mode: 0o700 });
    return path;
  }

  /** What was made, and is on the disk, is there from now on. */
  keep(name: string): void {
    renameSync(join(this.directory, `${MAKING}${name}`), join(this.directory, name));
    syncDirectory(this.directory);
  }

  abandon(name: string): void {
    rmSync(join(this.directory, `${MAKING}${name}`), { recursive: true, force: true });
  }

  /** Errors: SALVAGE_UNKNOWN. */
  remove(name: string): void {
    const aside = join(this.directory, `${REMOVING}${name}`);
    renameSync(this.path(name), aside);
    syncDirectory(this.directory);
    rmSync(aside, { recursive: true, force: true });
  }

  /** Removes what a crash has left in parts. */
  tidy(): void {
    let names: string[] = [];
    try {
      names = readdirSync(this.directory);
    } catch {
      return;
    }
    for (const name of names) {
      if (!name.startsWith(MAKING) && !name.startsWith(REMOVING)) continue;
      rmSync(join(this.directory, name), { recursive: true, force: true });
    }
  }

  /** Removes the oldest until what is left is neither too many nor too much, the newest never. */
  prune({ countMax, bytesMax }: { countMax: number; bytesMax: number }): string[] {
    let bytes = 0;
    const surplus = this.names.filter((name, index) => {
      bytes += this.#bytesOf(name);
      return index > 0 && (index >= countMax || bytes > bytesMax);
    });
    for (const name of surplus) this.remove(name);
    return surplus;
  }

  #bytesOf(name: string): number {
    try {
      return this.read(name).counts.keptBytes;
    } catch {
      // Damaged: its number counts.
      return 0;
    }
  }
}
