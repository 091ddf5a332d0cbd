// Point in time, as operators ask for it: what can be reached, bookmarks, a tree as of then, and the
// promotion of the copy as of then. The copy is on the standby's node: that is where most of it runs.
import { z } from 'zod';
import { messageOf, UnderstudyError } from '../core/errors.ts';
import type { RewindList, RewindState, RewindWish } from '../mirror/rewind.ts';
import type { GroupRuntime } from './group-runtime.ts';
import { id128Schema, sequenceSchema } from './group-spec.ts';
import { type Outcome, outcomeSchema } from './node-protocol.ts';
import type { NodeService } from './node-service.ts';
import { takeover } from './takeover.ts';

const SHORT_TIMEOUT_MS = 10_000;
/** The standby may have to apply what came before. */
const MARK_TIMEOUT_MS = 90_000;
/** A copy of everything, where files cannot share their blocks. */
const LONG_TIMEOUT_MS = 24 * 3_600_000;

export const bookmarkNameSchema = z.string().max(256);
export const markRequestSchema = z.strictObject({
  groupId: id128Schema,
  name: bookmarkNameSchema,
  /** The primary has captured so much when it asks. */
  sequence: sequenceSchema,
});
export const markReplySchema = z.object({
  name: z.string().max(256),
  sequence: sequenceSchema,
  atMs: z.number(),
});
export const pointRequestSchema = z.strictObject({
  groupId: id128Schema,
  quiesce: z.boolean().default(false),
});
export const pointReplySchema = z.object({ sequence: sequenceSchema });

/** A bookmark that was made. */
export interface Marked {
  readonly name: string;
  readonly sequence: number;
  /** ISO 8601, by the clock of the standby. */
  readonly at: string;
  /** False: the primary did not answer, it is the state that the copy happened to be in. */
  readonly exact: boolean;
}

const stateSchema = z.object({ sequence: z.number(), at: z.string().max(64).nullable() });
export const rewindListSchema = z.object({
  from: stateSchema.nullable(),
  to: stateSchema.nullable(),
  bytes: z.number(),
  bookmarks: z
    .array(stateSchema.extend({ name: z.string().max(256), kept: z.boolean() }))
    .max(10_000)
    .readonly(),
});
export const restoredSchema = outcomeSchema.extend({ state: stateSchema });

/** What can be reached, asked on either node. Errors: GROUP_UNKNOWN, those of the process, NODE_UNREACHABLE. */
export async function listRewind(service: NodeService, name: string): Promise<RewindList> {
  const runtime = service.group(name);
  if (runtime.state.role === 'standby') return listHere(runtime);
  const { groupId } = runtime.definition;
  return service.link.client().call({
    method: 'POST',
    path: `/v1/groups/${name}/rewind-list`,
    body: { groupId },
    reply: rewindListSchema,
    timeoutMs: 2 * SHORT_TIMEOUT_MS,
  });
}

/** The same of the copy of this node. Errors: REWIND_ON_STANDBY, and of the process. */
export async function listHere(runtime: GroupRuntime): Promise<RewindList> {
  requireStandby(runtime);
  return (await runtime.process.call('rewind-list', {}, SHORT_TIMEOUT_MS)) as RewindList;
}

/**
 * Gives a name to the present state: everything that applications were told to be done before is in it,
 * and nothing that they begin after this resolves. May be called on either node.
 */
export async function markRewind(
  service: NodeService,
  name: string,
  { name: bookmark, quiesce }: { readonly name: string; readonly quiesce: boolean },
): Promise<Marked> {
  const runtime = service.group(name);
  const { groupId } = runtime.definition;
  if (runtime.state.role === 'primary') {
    const sequence = await pointOf(runtime, quiesce);
    const reply = await service.link.client().call({
      method: 'POST',
      path: `/v1/groups/${name}/rewind-mark`,
      body: { groupId, name: bookmark, sequence },
      reply: markReplySchema,
      timeoutMs: MARK_TIMEOUT_MS,
    });
    return marked(reply, true);
  }
  const sequence = await askForPoint(service, name, { groupId, quiesce });
  const reply = await markOnStandby(runtime, bookmark, sequence ?? 0);
  return marked(reply, sequence !== undefined);
}

const marked = (
  { name, sequence, atMs }: z.infer<typeof markReplySchema>,
  exact: boolean,
): Marked => ({ name, sequence, at: new Date(atMs).toISOString(), exact });

async function askForPoint(
  service: NodeService,
  name: string,
  body: z.infer<typeof pointRequestSchema>,
): Promise<number | undefined> {
  try {
    const reply = await service.link.client().call({
      method: 'POST',
      path: `/v1/groups/${name}/point`,
      body,
      reply: pointReplySchema,
      timeoutMs: body.quiesce ? MARK_TIMEOUT_MS : SHORT_TIMEOUT_MS,
    });
    return reply.sequence;
  } catch (thrown) {
    // A primary that is away changes nothing that the copy could still get.
    if (thrown instanceof UnderstudyError && thrown.code === 'NODE_UNREACHABLE') return undefined;
    throw thrown;
  }
}

/**
 * The primary's side: the last record captured by now. `quiesce`: the agents bring their data to a state worth
 * it before, and go on after. Errors: AGENT_FAILED.
 */
export async function pointOf(runtime: GroupRuntime, quiesce: boolean): Promise<number> {
  try {
    if (quiesce) await runtime.agents.questions.quiesce();
    const reply = await runtime.process.call('point', {}, SHORT_TIMEOUT_MS);
    return pointReplySchema.parse(reply).sequence;
  } finally {
    if (quiesce) await runtime.agents.questions.resume();
  }
}

/** The standby's side of a bookmark. */
export async function markOnStandby(
  runtime: GroupRuntime,
  name: string,
  sequence: number,
): Promise<z.infer<typeof markReplySchema>> {
  requireStandby(runtime);
  const reply = await runtime.process.call('rewind-mark', { name, sequence }, MARK_TIMEOUT_MS);
  return markReplySchema.parse(reply);
}

/** Makes a tree as of then. Errors: REWIND_ON_STANDBY, and of the process. */
export async function browseRewind(
  service: NodeService,
  name: string,
  { wish, to }: { wish: RewindWish; to: string },
): Promise<RewindState> {
  const runtime = standbyOf(service, name);
  const state = await runtime.process.call('rewind-browse', { wish, to }, LONG_TIMEOUT_MS);
  return state as RewindState;
}

/**
 * Makes the standby, on whichever node it is, the primary with the data as of then. What came after is given up, on
 * both nodes: the other one is made equal to it. Errors: REWIND_NEEDS_FORCE, NODE_UNREACHABLE, and
 * those of the process and of a takeover; the copy goes on as a standby then.
 */
export async function restoreRewind(
  service: NodeService,
  name: string,
  { wish, force }: { wish: RewindWish; force: boolean },
): Promise<Restored> {
  const runtime = service.group(name);
  if (!force) {
    throw new UnderstudyError(
      'REWIND_NEEDS_FORCE',
      `everything written to group "${name}" after that moment is given up on both nodes, and the standby becomes the primary: look at the moment with "understudy rewind browse ${name}" on its node first, then add --force`,
    );
  }
  if (runtime.state.role === 'standby') return restoreHere(service, runtime, wish);
  const { groupId } = runtime.definition;
  return service.link.client().call({
    method: 'POST',
    path: `/v1/groups/${name}/rewind-restore`,
    body: { groupId, wish },
    reply: restoredSchema,
    timeoutMs: LONG_TIMEOUT_MS,
  });
}

export type Restored = Outcome & { readonly state: RewindState };

/** The same with the copy of this node. Errors: REWIND_ON_STANDBY, and as {@link restoreRewind}. */
export async function restoreHere(
  service: NodeService,
  runtime: GroupRuntime,
  wish: RewindWish,
): Promise<Restored> {
  const { name } = runtime;
  requireStandby(runtime);
  return runtime.whileTakenBack(async () => {
    const state = (await runtime.process.call('rewind', { wish }, LONG_TIMEOUT_MS)) as RewindState;
    try {
      const accepted = { acceptStale: true, acceptIncomplete: false, acceptHalted: false };
      const outcome = await takeover(service, name, { force: true, ...accepted });
      return { ...outcome, state };
    } catch (thrown) {
      await release(runtime, thrown);
      throw thrown;
    }
  });
}

/** Not promoted: the primary may bring the copy up to date again. */
async function release(runtime: GroupRuntime, thrown: unknown): Promise<void> {
  const what = `group "${runtime.name}" was taken back and not promoted (${messageOf(thrown)})`;
  runtime.emit(
    'warning',
    'REWIND_GIVEN_UP',
    `${what}: the primary brings the copy up to date again`,
  );
  // A process that is gone by now has nothing to release.
  await runtime.process.call('rewind-release', {}, SHORT_TIMEOUT_MS).catch(() => undefined);
}

function standbyOf(service: NodeService, name: string): GroupRuntime {
  const runtime = service.group(name);
  requireStandby(runtime);
  return runtime;
}

function requireStandby({ state, name }: GroupRuntime): void {
  if (state.role === 'standby') return;
  throw new UnderstudyError(
    'REWIND_ON_STANDBY',
    `this node is the primary of group "${name}", earlier states are kept by its standby: run the command on the other node`,
  );
}
