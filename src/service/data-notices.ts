// Tells the service where the data of a group process stands, whenever that changes.
import type { CopyState } from '../cluster/machine/types.ts';
import type { ControlServer } from './control-channel.ts';
import type { CommitWish } from './primary-commits.ts';

/** State of the data and its position, as the machine of a managed group takes it. */
export interface DataNotice {
  readonly kind: 'data';
  /** `empty`: nothing is known of what lies there. */
  readonly copy: CopyState | 'empty';
  readonly epoch: number;
  readonly sequence: number;
  /** A newer copy is being made over this one, which is therefore old whatever its position says. */
  readonly isStaged?: boolean;
}
/** The disk underneath a primary answered an application with an error of its own. */
export interface DiskNotice {
  readonly kind: 'disk';
  readonly why: string;
}
/** Somebody took a mount of a primary away: nobody is to go on with what is left of it. */
export interface MountsLostNotice {
  readonly kind: 'mountsLost';
}
export type GroupNotice =
  | DataNotice
  | DiskNotice
  | MountsLostNotice
  | ({ readonly kind: 'commits' } & CommitWish);

/** What matters is told by whoever changes it; a look costs a wake-up of a process with nothing to do. */
const INTERVAL_MS = 250;
/** While records come in all the time, nobody needs to know each position. */
const SEQUENCE_INTERVAL_MS = 1000;

/**
 * Looks at `read` regularly; the returned function tells at once what is new. Of a copy that `isConstant`
 * (a primary's is what it is) only the position has to be told.
 */
export function tellData(
  control: ControlServer,
  read: () => DataNotice,
  isConstant = false,
): () => void {
  let told: DataNotice | undefined;
  let toldMs = 0;
  const tell = (): void => {
    const notice = read();
    const isNew = JSON.stringify(notice) !== JSON.stringify(told);
    if (!isNew || !control.notify(notice)) return;
    told = notice;
    toldMs = performance.now();
  };
  const look = (): void => {
    const { copy, epoch } = read();
    const isUrgent = copy !== told?.copy || epoch !== told.epoch;
    if (isUrgent || performance.now() - toldMs >= SEQUENCE_INTERVAL_MS) tell();
  };
  setInterval(look, isConstant ? SEQUENCE_INTERVAL_MS : INTERVAL_MS).unref();
  return tell;
}
