// Which agents there are on this node: those that come with Understudy, and what lies in the directory of
// one's own (`/etc/understudy/agents`):
//
//   NAME.ts · NAME.mjs · NAME.js   a module with a default export made by `defineAgent`
//   NAME                           an executable with the exit codes of OCF (see custom/program-agent.ts)
import { readdirSync, statSync } from 'node:fs';
import { dirname, extname, join } from 'node:path';
import { UnderstudyError } from '../core/errors.ts';
import { type Builtin, builtins } from './builtin/index.ts';
import type { AgentSource } from './host/host-protocol.ts';

const NAME_PATTERN = /^[a-z][a-z0-9-]{0,39}$/;
const MODULE_EXTENSIONS: readonly string[] = ['.ts', '.mjs', '.js'];
const FILES_MAX = 256;
/** What editors and people put beside agents. */
const IGNORED = /^\.|^(tsconfig|package)\.json$|\.md$/;

export interface CatalogEntry {
  readonly name: string;
  readonly source: AgentSource;
  /** `service`: does nothing but start programs; `host`: the group's host; `own`: a host of its own. */
  readonly place: Builtin['place'] | 'own';
  /** The file; null for a built-in one. */
  readonly path: string | null;
}

export interface CatalogFault {
  readonly path: string;
  readonly fault: string;
}

export class AgentCatalog {
  readonly directory: string;

  constructor(directory: string) {
    this.directory = directory;
  }

  /** All agents, the built-in ones first, and the files that are none. */
  list(): { readonly agents: readonly CatalogEntry[]; readonly faults: readonly CatalogFault[] } {
    const agents = [...builtins].map(([name, builtin]) => builtinEntry(name, builtin));
    const faults: CatalogFault[] = [];
    for (const file of filesIn(this.directory)) {
      const path = join(this.directory, file);
      const entry = customEntry(path, file);
      if (typeof entry !== 'string' && agents.some(({ name }) => name === entry.name)) {
        faults.push({ path, fault: `there is another agent "${entry.name}": rename the file` });
      } else if (typeof entry === 'string') faults.push({ path, fault: entry });
      else agents.push(entry);
    }
    return { agents, faults };
  }

  /** Errors: AGENT_UNKNOWN with the names that are known, AGENT_FILE_UNUSABLE. */
  find(use: string): CatalogEntry {
    const builtin = builtins.get(use);
    if (builtin !== undefined) return builtinEntry(use, builtin);
    // An OCF agent of this node with the parameters of its own metadata: `ocf:heartbeat:pgsql`.
    const ocf = builtins.get('ocf');
    if (use.startsWith('ocf:') && ocf !== undefined) return builtinEntry(use, ocf);
    const { agents, faults } = this.list();
    const found = agents.find(({ name }) => name === use);
    if (found !== undefined) return found;
    const broken = faults.find(({ path }) => nameOf(path.slice(this.directory.length + 1)) === use);
    if (broken !== undefined) {
      throw new UnderstudyError('AGENT_FILE_UNUSABLE', `${broken.path}: ${broken.fault}`);
    }
    const known = agents.map(({ name }) => name).toSorted();
    throw new UnderstudyError(
      'AGENT_UNKNOWN',
      `there is no agent "${use}" (known: ${known.join(', ')}): correct the name, or put your own into ${this.directory}`,
    );
  }
}

function builtinEntry(name: string, { place }: Builtin): CatalogEntry {
  return { name, source: { kind: 'builtin', name }, place, path: null };
}

function filesIn(directory: string): string[] {
  try {
    const names = readdirSync(directory).filter((name) => !IGNORED.test(name));
    return names.toSorted().slice(0, FILES_MAX);
  } catch {
    return [];
  }
}

const nameOf = (file: string): string => file.slice(0, file.length - extname(file).length);

/** The entry of a file, or what is wrong with it. */
function customEntry(path: string, file: string): CatalogEntry | string {
  const extension = extname(file);
  const name = nameOf(file);
  if (!NAME_PATTERN.test(name)) {
    return 'its name may have lower-case letters, digits and hyphens only, 40 at most';
  }
  const isModule = MODULE_EXTENSIONS.includes(extension);
  if (!isModule && extension !== '') {
    return `it is no agent: modules end with ${MODULE_EXTENSIONS.join(', ')}, programs have no extension`;
  }
  const fault = directoryFault(dirname(path)) ?? faultOf(path, isModule);
  if (fault !== undefined) return fault;
  return isModule
    ? { name, source: { kind: 'module', name, path }, place: 'own', path }
    : { name, source: { kind: 'program', name, path }, place: 'service', path };
}

/** Whoever may write the directory may put any file into it. */
function directoryFault(directory: string): string | undefined {
  const stat = statSync(directory, { throwIfNoEntry: false });
  if (stat === undefined || (stat.mode & 0o022) === 0) return undefined;
  return `others than root may write ${directory}: "chmod go-w"`;
}

/** What runs as root must be root's. */
function faultOf(path: string, isModule: boolean): string | undefined {
  const stat = statSync(path, { throwIfNoEntry: false });
  if (stat === undefined || !stat.isFile()) return 'it is no file';
  if (stat.uid !== 0 && stat.uid !== process.getuid?.()) {
    return 'it does not belong to root: "chown root"';
  }
  if ((stat.mode & 0o022) !== 0) return 'others than root may write it: "chmod go-w"';
  if (!isModule && (stat.mode & 0o100) === 0) return 'it cannot be executed: "chmod +x"';
  return undefined;
}
