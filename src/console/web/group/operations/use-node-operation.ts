// One operation on a node: whether it is under way, how far it is, what went wrong.
import { useRef, useState } from 'react';
import type { OperationView } from '../../../../service/admin-api/operations.ts';
import { type OperationCall, runOperation } from '../../app/api.ts';
import { notifyDone, notifyWarnings } from '../../app/ui/notify.ts';

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
  const busy = useRef(false);
  const [isBusy, setBusy] = useState(false);
  const [error, setError] = useState<unknown>(null);
  const [view, setView] = useState<OperationView | null>(null);
  const quick = async (work: () => Promise<unknown>, done: string): Promise<boolean> => {
    if (busy.current) return false;
    busy.current = true;
    setBusy(true);
    setError(null);
    try {
      const result = await work();
      const { warnings = [] } = (result ?? {}) as { warnings?: readonly string[] };
      notifyDone(done);
      notifyWarnings(warnings);
      return true;
    } catch (thrown) {
      setError(thrown);
      return false;
    } finally {
      setView(null);
      busy.current = false;
      setBusy(false);
    }
  };
  return {
    isBusy,
    error,
    view,
    quick,
    run: async (wish, done) => quick(async () => runOperation(wish, setView), done),
  };
}
