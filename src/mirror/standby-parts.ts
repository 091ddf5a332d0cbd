// What a standby is made of. Each of its concerns (course, checkpoints, past) works with the same parts.
import type { Clock } from '../core/clock.ts';
import type { Logger } from '../core/logger.ts';
import type { JournalWriter } from '../journal/journal-writer.ts';
import type { Marks } from '../journal/marks.ts';
import type { StandbyState } from '../journal/standby-state.ts';
import type { ApplierHost } from './applier-host.ts';
import type { Bookmarks } from './bookmarks.ts';
import type { Checkpointer } from './checkpointer.ts';
import type { ApplyGate } from './guard/apply-gate.ts';
import type { Receiver } from './receiver.ts';
import type { StandbyHandlers, StandbyOptions } from './standby-options.ts';
import type { UndoHost } from './undo-host.ts';

export interface StandbyParts {
  readonly options: StandbyOptions;
  readonly handlers: StandbyHandlers;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly state: StandbyState;
  readonly marks: Marks;
  readonly journal: JournalWriter;
  readonly applier: ApplierHost;
  readonly gate: ApplyGate;
  readonly receiver: Receiver;
  readonly checkpointer: Checkpointer;
  readonly undo: UndoHost;
  readonly bookmarks: Bookmarks;
}
