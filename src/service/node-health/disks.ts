// File systems with their space, and the disks of this machine with what SMART says of them where `smartctl` is installed.
// A file system that hangs must not hang the service: each is asked with a deadline, in the thread pool, of which it keeps one
// thread until it answers.
import { execFile } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { statfs } from 'node:fs/promises';
import { z } from 'zod';
import { once } from '../admin-api/once.ts';
import { within } from '../../core/within.ts';
import { isReadOnly, type MountEntry, readMountTable } from '../../linux/mount-table.ts';

const ASK_MS = 1000;
const FILE_SYSTEMS_MAX = 100;
/** While so many have not answered, none is asked: the pool has four threads, and the service needs them. */
const LATE_MAX = 2;
const SMART_KEPT_MS = 600_000;
const SMART_TIMEOUT_MS = 10_000;
const SMART_BYTES_MAX = 512 * 1024;
const DISKS_MAX = 64;
/** What holds no data of anybody. */
const IGNORED_TYPES = new Set(
  'proc sysfs devtmpfs devpts tmpfs cgroup cgroup2 mqueue debugfs tracefs securityfs pstore bpf configfs hugetlbfs fusectl binfmt_misc autofs efivarfs nsfs rpc_pipefs ramfs squashfs overlay'.split(
    ' ',
  ),
);

export const fileSystemSchema = once(() =>
  z.object({
    mountPoint: z.string(),
    source: z.string(),
    type: z.string(),
    readOnly: z.boolean(),
    /** Null: it did not answer in time. */
    totalBytes: z.number().nullable(),
    freeBytes: z.number().nullable().describe('For programs that are not of root'),
    files: z.number().nullable(),
    filesFree: z.number().nullable(),
  }),
);

export const smartSchema = once(() =>
  z.object({
    passed: z.boolean().nullable(),
    temperatureCelsius: z.number().nullable(),
    powerOnHours: z.number().nullable(),
    reallocatedSectors: z.number().nullable(),
    pendingSectors: z.number().nullable(),
    wearPercent: z.number().nullable(),
  }),
);
export type Smart = z.infer<ReturnType<typeof smartSchema>>;

export const diskSchema = once(() =>
  z.object({
    name: z.string(),
    model: z.string().nullable(),
    serial: z.string().nullable(),
    bytes: z.number(),
    rotating: z.boolean(),
    removable: z.boolean(),
    smart: smartSchema().nullable().describe('Null: not known (yet), or no smartctl'),
  }),
);

type FileSystemView = z.infer<ReturnType<typeof fileSystemSchema>>;

/** Remembers which file systems have not answered: these are not asked again before they do. */
export class FileSystemWatch {
  readonly #ask: typeof spaceOf;
  readonly #late = new Set<string>();
  #looking: Promise<FileSystemView[]> | undefined;

  constructor(ask = spaceOf) {
    this.#ask = ask;
  }

  async look(): Promise<FileSystemView[]> {
    this.#looking ??= this.#lookAtAll().finally(() => (this.#looking = undefined));
    return this.#looking;
  }

  async #lookAtAll(): Promise<FileSystemView[]> {
    const views: FileSystemView[] = [];
    for (const entry of mountedFileSystems()) {
      const { mountPoint, source, type } = entry;
      const space = await this.#spaceOf(mountPoint);
      views.push({ mountPoint, source, type, readOnly: isReadOnly(entry), ...space });
    }
    return views;
  }

  async #spaceOf(mountPoint: string): Promise<Space> {
    if (this.#late.has(mountPoint) || this.#late.size >= LATE_MAX) return NO_SPACE;
    const asked = this.#ask(mountPoint);
    const space = await within(asked, ASK_MS);
    if (space !== false) return space;
    this.#late.add(mountPoint);
    void asked.finally(() => this.#late.delete(mountPoint));
    return NO_SPACE;
  }
}

function mountedFileSystems(): MountEntry[] {
  const seen = new Map<string, MountEntry>();
  for (const entry of readMountTable()) {
    if (IGNORED_TYPES.has(entry.type)) continue;
    // A file system that is mounted in several places is told once, where it was first.
    const key = entry.type.startsWith('fuse') ? entry.mountPoint : entry.device;
    if (!seen.has(key)) seen.set(key, entry);
  }
  return [...seen.values()].slice(0, FILE_SYSTEMS_MAX);
}

type Space = Pick<FileSystemView, 'totalBytes' | 'freeBytes' | 'files' | 'filesFree'>;

const NO_SPACE: Space = { totalBytes: null, freeBytes: null, files: null, filesFree: null };

/** Never rejects. */
async function spaceOf(path: string): Promise<Space> {
  try {
    const { blocks, bavail, bsize, files, ffree } = await statfs(path);
    return {
      totalBytes: blocks * bsize,
      freeBytes: bavail * bsize,
      files: files === 0 ? null : files,
      filesFree: files === 0 ? null : ffree,
    };
  } catch {
    return NO_SPACE;
  }
}

/** Keeps what SMART said for a while: asking takes a disk a moment, and may wake it. */
export class DiskWatch {
  readonly #smart = new Map<string, { value: Smart | null; atMs: number }>();
  #hasProgram = true;

  disks(): z.infer<ReturnType<typeof diskSchema>>[] {
    return blockDevices().map((disk) => ({ ...disk, smart: this.#smartOf(disk.name) }));
  }

  /** What is known; asks in the background when that is old. */
  #smartOf(name: string): Smart | null {
    const known = this.#smart.get(name);
    const isOld = known === undefined || performance.now() - known.atMs > SMART_KEPT_MS;
    if (isOld && this.#hasProgram) {
      this.#smart.set(name, { value: known?.value ?? null, atMs: performance.now() });
      void this.#ask(name);
    }
    return known?.value ?? null;
  }

  async #ask(name: string): Promise<void> {
    const options = { timeout: SMART_TIMEOUT_MS, maxBuffer: SMART_BYTES_MAX };
    const text = await new Promise<string | undefined>((resolve) => {
      // Exit codes of smartctl are bits about the disk: what was printed counts.
      execFile(
        'smartctl',
        ['--json', '-n', 'standby', '-H', '-A', '-i', `/dev/${name}`],
        options,
        (error, stdout) => {
          if ((error as NodeJS.ErrnoException | null)?.code === 'ENOENT') this.#hasProgram = false;
          resolve(stdout === '' ? undefined : stdout);
        },
      );
    });
    if (text !== undefined) {
      this.#smart.set(name, { value: parseSmart(text), atMs: performance.now() });
    }
  }
}

const smartOutputSchema = once(() =>
  z.looseObject({
    smart_status: z.looseObject({ passed: z.boolean() }).optional(),
    temperature: z.looseObject({ current: z.number().optional() }).optional(),
    power_on_time: z.looseObject({ hours: z.number().optional() }).optional(),
    ata_smart_attributes: z
      .looseObject({
        table: z.array(
          z.looseObject({ id: z.number(), raw: z.looseObject({ value: z.number() }).optional() }),
        ),
      })
      .optional(),
    nvme_smart_health_information_log: z
      .looseObject({ percentage_used: z.number().optional(), media_errors: z.number().optional() })
      .optional(),
  }),
);

const REALLOCATED = 5;
const PENDING = 197;

/** Output of `smartctl --json`; null when it says nothing about health. */
export function parseSmart(text: string): Smart | null {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return null;
  }
  const { data } = smartOutputSchema().safeParse(value);
  if (data?.smart_status === undefined) return null;
  const rawValue = (wanted: number): number | null =>
    data.ata_smart_attributes?.table.find(({ id }) => id === wanted)?.raw?.value ?? null;
  return {
    passed: data.smart_status.passed,
    temperatureCelsius: data.temperature?.current ?? null,
    powerOnHours: data.power_on_time?.hours ?? null,
    reallocatedSectors: rawValue(REALLOCATED),
    pendingSectors: rawValue(PENDING),
    wearPercent: data.nvme_smart_health_information_log?.percentage_used ?? null,
  };
}

/** Whole disks: no partitions, loops, RAM disks. */
function blockDevices(): Omit<z.infer<ReturnType<typeof diskSchema>>, 'smart'>[] {
  const names = list('/sys/block').filter((name) => /^(sd|hd|vd|xvd|nvme|mmcblk)/.test(name));
  return names.slice(0, DISKS_MAX).map((name) => ({
    name,
    model: attribute(name, 'device/model') ?? null,
    serial: attribute(name, 'device/serial') ?? null,
    bytes: Number(attribute(name, 'size') ?? 0) * 512,
    rotating: attribute(name, 'queue/rotational') === '1',
    removable: attribute(name, 'removable') === '1',
  }));
}

function list(path: string): string[] {
  try {
    return readdirSync(path);
  } catch {
    return [];
  }
}

function attribute(disk: string, file: string): string | undefined {
  try {
    const text = readFileSync(`/sys/block/${disk}/${file}`, 'latin1').trim();
    return text === '' ? undefined : text;
  } catch {
    return undefined;
  }
}
