// Who is logged in. Without a session there is only the login; with a password that somebody else gave, only the choice of another.
import { useQuery, useQueryClient } from '@tanstack/react-query';
import { createContext, type ReactNode, use, useEffect, useMemo } from 'react';
import { mayDo } from './roles.ts';
import type { AccessRole } from '../../../service/admin-api/caller.ts';
import { ApiError, call, keepCsrf, whenSessionOver } from './api.ts';

export interface SessionView {
  readonly user: string;
  readonly role: AccessRole;
  readonly csrf: string;
  readonly mustChangePassword: boolean;
  readonly hasTotp: boolean;
  readonly version: string;
}

export const SESSION_KEY = ['session'] as const;

export interface SessionState {
  readonly session: SessionView | null;
  readonly isLoading: boolean;
  /** The console does not answer: it is not known whether there is a session. */
  readonly fault: Error | null;
  readonly begin: (view: SessionView) => void;
  readonly end: () => Promise<void>;
  readonly change: (part: Partial<SessionView>) => void;
}

const SessionContext = createContext<SessionState | null>(null);

export function SessionProvider({ children }: { readonly children: ReactNode }) {
  const client = useQueryClient();
  const { data, isPending, error, isError } = useQuery({
    queryKey: SESSION_KEY,
    queryFn: loadSession,
    staleTime: Number.POSITIVE_INFINITY,
    gcTime: Number.POSITIVE_INFINITY,
    retry: 2,
  });
  useEffect(() => {
    whenSessionOver(() => client.setQueryData(SESSION_KEY, null));
  }, [client]);
  const state = useMemo<SessionState>(() => {
    const begin = (view: SessionView): void => {
      keepCsrf(view.csrf);
      client.setQueryData(SESSION_KEY, view);
    };
    return {
      session: data ?? null,
      isLoading: isPending,
      fault: isError ? error : null,
      begin,
      change: (part) => {
        client.setQueryData<SessionView | null>(SESSION_KEY, (before) =>
          before == null ? null : { ...before, ...part },
        );
      },
      end: async () => {
        await call('/logout', { method: 'POST', body: {} }).catch(() => undefined);
        keepCsrf('');
        // What the one has seen is not for the next.
        client.clear();
        client.setQueryData(SESSION_KEY, null);
      },
    };
  }, [client, data, error, isError, isPending]);
  return <SessionContext value={state}>{children}</SessionContext>;
}

export async function loadSession(): Promise<SessionView | null> {
  try {
    const view = await call<SessionView>('/session');
    keepCsrf(view.csrf);
    return view;
  } catch (thrown) {
    if (thrown instanceof ApiError && thrown.status === 401) return null;
    throw thrown;
  }
}

export function useSessionState(): SessionState {
  const state = use(SessionContext);
  if (state === null) throw new TypeError('outside of SessionProvider');
  return state;
}

/** Below the login: there is one. */
export function useSession(): SessionView {
  const { session } = useSessionState();
  if (session === null) throw new TypeError('there is no session');
  return session;
}

/** Whether the user may do what needs `role`. The server decides; this only spares a click in vain. */
export function useMay(role: AccessRole): boolean {
  return mayDo(useSession().role, role);
}
