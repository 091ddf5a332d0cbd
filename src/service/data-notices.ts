// Tells the service where the data of a group process stands, whenever that changes.
import type { CopyState } from '../cluster/machine/types.ts';
import type { ControlServer } from './control-channel.ts';
import type { CommitWish } from './primary-group.ts';

/** State of the data and its position, as the machine of a managed group takes it. */
export interface DataNotice {
  readonly kind: 'data';
  /** `empty`: nothing is known of what lies there. */
  readonly copy: CopyState | 'empty';
  readonly epoch: number;
  readonly sequence: number;
}
export type GroupNotice = DataNotice | ({ readonly kind: 'commits' } & CommitWish);

const INTERVAL_MS = 100;

/** Looks at `read` regularly; the returned function looks at once. */
export function tellData(control: ControlServer, read: () => DataNotice): () => void {
  let told = '';
  const look = (): void => {
    const notice = read();
    const text = JSON.stringify(notice);
    if (text === told || !control.notify(notice)) return;
    told = text;
  };
  setInterval(look, INTERVAL_MS).unref();
  return look;
}
