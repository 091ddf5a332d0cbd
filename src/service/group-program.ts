// How the program of a group process begins and ends: what both kinds have in common.
//
//   --spec FILE   begins at once
//   --prepared --spec FILE
//                 has loaded its code, waits without using the processor, and begins when the service
//                 says so; ends when the service is gone before that. FILE is the specification of the
//                 present process, to practise with: whatever runs for the first time takes long
//
// The service and its child speak over Node's channel between processes, until the control socket
// answers:   child → 'waits'   service → { begin: FILE }   child → 'begins'   child → 'listens'
import { setImmediate as nextTurn } from 'node:timers/promises';
import { z } from 'zod';
import type { ControlServer } from './control-channel.ts';
import { type GroupProcessSpec, readSpec } from './group-spec.ts';
import { releaseInheritedLock } from './process-lock.ts';

export const PREPARED_ARGUMENT = '--prepared';
/** Child → service. */
export const WAITS = 'waits';
export const BEGINS = 'begins';
export const LISTENS = 'listens';

const beginSchema = z.object({ begin: z.string() });
/** Service → child: the specification to begin with. */
export type BeginMessage = z.infer<typeof beginSchema>;

/** Whether this process was started to wait. `argv`: without node and script. */
export function isPrepared(argv: readonly string[]): boolean {
  return argv.includes(PREPARED_ARGUMENT);
}

/**
 * The specification to begin with: from the command line, or when the service sends it. `practise` is
 * called in a prepared process with the present specification, if there is one.
 */
export async function receiveSpec(
  argv: readonly string[],
  practise: (present: GroupProcessSpec) => void = () => undefined,
): Promise<GroupProcessSpec> {
  if (!isPrepared(argv)) return readSpec(argv);
  try {
    practise(readSpec(argv.filter((argument) => argument !== PREPARED_ARGUMENT)));
  } catch {
    // It is about time only; the real specification is checked anew.
  }
  const { begin } = await new Promise<BeginMessage>((resolve) => {
    if (!process.connected) endUnused();
    process.once('disconnect', endUnused);
    process.once('message', (message) => {
      process.off('disconnect', endUnused);
      resolve(beginSchema.parse(message));
    });
    tell(WAITS);
  });
  tell(BEGINS);
  return readSpec(['--spec', begin]);
}

/** Not wanted any more, or the service is gone: the next one makes a process of its own. */
function endUnused(): void {
  process.exit(0);
}

/** The control socket answers from now on; the channel to the service is not needed any more. */
export function tellListening(): void {
  tell(LISTENS, () => {
    if (process.connected) process.disconnect();
  });
}

/** The service may have been killed: this process goes on, and is found through its socket. */
function tell(what: string, done: () => void = () => undefined): void {
  if (process.connected) process.send?.(what, done);
}

/**
 * Nothing of the group is used any more: directories are free, files closed. Whoever comes next may
 * begin at once; this process has only its last answer to send. To be called before that.
 */
export function letGo(control: ControlServer): void {
  control.stopListening();
  releaseInheritedLock();
}

/** Ends the process as soon as answers that are on their way are sent. */
export async function endProcess(control: ControlServer, code: number): Promise<void> {
  await nextTurn();
  await control.close();
  process.exit(code);
}
