// Which operation is being asked for: one dialog at a time.
import { createContext, type ReactNode, use, useMemo, useState } from 'react';
import { later } from '../../app/later.tsx';
import { useGroupDetail } from '../group-detail.tsx';
import { hindranceOf, type Hindrance, type OperationKind, targetsOf } from './operations.ts';

const OperationDialog = later(async () => (await import('./operation-dialog.tsx')).OperationDialog);

export interface OperationsState {
  readonly ask: (kind: OperationKind) => void;
  readonly isPossible: (kind: OperationKind) => boolean;
  readonly hindrance: (kind: OperationKind) => Hindrance | null;
}

const OperationsContext = createContext<OperationsState | null>(null);

export function OperationsProvider({ children }: { readonly children: ReactNode }) {
  const { overview, nodes } = useGroupDetail();
  const [asked, setAsked] = useState<OperationKind | null>(null);
  const state = useMemo<OperationsState>(() => {
    const hindrance = (kind: OperationKind): Hindrance | null =>
      hindranceOf(kind, overview) ??
      (targetsOf(kind, overview, nodes).length === 0 ? 'no-node' : null);
    return { ask: setAsked, hindrance, isPossible: (kind) => hindrance(kind) === null };
  }, [overview, nodes]);
  return (
    <OperationsContext value={state}>
      {children}
      {asked !== null && (
        <OperationDialog kind={asked} key={asked} onClose={() => setAsked(null)} />
      )}
    </OperationsContext>
  );
}

export function useOperations(): OperationsState {
  const state = use(OperationsContext);
  if (state === null) throw new TypeError('outside of OperationsProvider');
  return state;
}
