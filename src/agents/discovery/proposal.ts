// What discovery proposes: a complete group for one application, and what a person should know of it.

/** A group as `group create --file` takes it; addresses and failover are the operator's to add. */
export interface ProposedGroup {
  readonly name: string;
  readonly paths: readonly { readonly dir: string; readonly exclude?: readonly string[] }[];
  readonly agents: readonly ProposedAgent[];
}

export type ProposedAgent = { readonly use: string } & Readonly<Record<string, unknown>>;

export interface Proposal {
  readonly title: string;
  /** One sentence: what was found, and where. */
  readonly found: string;
  readonly isRunning: boolean;
  readonly pid: number | null;
  readonly group: ProposedGroup;
  /** What has to be looked at before the group is created: one sentence each. */
  readonly notes: readonly string[];
}

const NAME_LENGTH_MAX = 40;

/** `text` as the name of a group: lower-case letters, digits and inner dashes. */
export function groupName(text: string): string {
  const name = text
    .toLowerCase()
    .replaceAll(/[^a-z0-9]+/g, '-')
    .slice(0, NAME_LENGTH_MAX)
    .replaceAll(/^-+|-+$/g, '');
  return /^[a-z]/.test(name) ? name : `g-${name}`.slice(0, NAME_LENGTH_MAX);
}

/** Proposals with names of their own: a second `redis` is `redis-2`. */
export function withUniqueNames(proposals: readonly Proposal[]): Proposal[] {
  const taken = new Map<string, number>();
  return proposals.map((proposal) => {
    const { name } = proposal.group;
    const count = (taken.get(name) ?? 0) + 1;
    taken.set(name, count);
    if (count === 1) return proposal;
    return { ...proposal, group: { ...proposal.group, name: `${name}-${count}` } };
  });
}

/** A unit that starts by itself at boot would start on the standby, too. */
export function unitNote(unit: string | undefined): string[] {
  if (unit === undefined) return [];
  return [
    `it runs as the unit ${unit}: before the group is created, "systemctl disable --now ${unit}" on both nodes`,
  ];
}
