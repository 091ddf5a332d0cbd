// One operation on a node: whether it is under way, how far it is, what went wrong.
import { useQueryClient } from '@tanstack/react-query';
import { useState } from 'react';
import type { OperationView } from '../../../../service/admin-api/operations.ts';
import { type OperationCall, runOperation } from '../../app/api.ts';
import { notifyDone, notifyWarnings } from '../../app/ui/notify.ts';
import { useWork } from '../../common/use-work.ts';

/** What pages ask for themselves, and an operation may have changed. */
const ASKED = ['rewind', 'salvages', 'definition'] as const;

export interface NodeOperation {
  readonly isBusy: boolean;
  /** Null: nothing. */
  readonly error: unknown;
  readonly view: OperationView | null;
  /** Does nothing while one is under way. `done` is said when it was done; resolves with whether it was. */
  readonly run: (wish: OperationCall, done: string) => Promise<boolean>;
  /** The same of a call that is answered at once. */
  readonly quick: (work: () => Promise<unknown>, done: string) => Promise<boolean>;
}

export function useNodeOperation(): NodeOperation {
  const { isBusy, error, run } = useWork();
  const [view, setView] = useState<OperationView | null>(null);
  const client = useQueryClient();
  const quick = async (work: () => Promise<unknown>, done: string): Promise<boolean> =>
    run(async () => {
      try {
        const { warnings = [] } = ((await work()) ?? {}) as { warnings?: readonly string[] };
        notifyDone(done);
        notifyWarnings(warnings);
      } finally {
        setView(null);
        for (const key of ASKED) void client.invalidateQueries({ queryKey: [key] });
      }
    });
  return {
    isBusy,
    error,
    view,
    quick,
    run: async (wish, done) => quick(async () => runOperation(wish, setView), done),
  };
}
