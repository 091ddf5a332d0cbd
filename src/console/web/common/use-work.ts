// Something that a button does: whether it is under way, and what went wrong.
import { useRef, useState } from 'react';

export interface Work {
  readonly isBusy: boolean;
  readonly error: unknown;
  /** Does nothing while it is under way: a double click is one wish. Answers whether it was done. */
  readonly run: (work: () => Promise<void>) => Promise<boolean>;
  readonly clear: () => void;
}

export function useWork(): Work {
  const busy = useRef(false);
  const [isBusy, setBusy] = useState(false);
  const [error, setError] = useState<unknown>(null);
  return {
    isBusy,
    error,
    clear: () => setError(null),
    run: async (work) => {
      if (busy.current) return false;
      busy.current = true;
      setBusy(true);
      setError(null);
      try {
        await work();
        return true;
      } catch (thrown) {
        setError(thrown);
        return false;
      } finally {
        busy.current = false;
        setBusy(false);
      }
    },
  };
}
