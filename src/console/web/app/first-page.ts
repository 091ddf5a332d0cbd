// What the first drawing needs, all at once instead of one after the other: one drawing, not three.
import { LoginPage } from './gate.tsx';
import { FLEET_KEY } from './live.ts';
import { loadFleet } from './fleet-data.tsx';
import { pageAt } from './routes.tsx';
import { loadSession, SESSION_KEY, type SessionView } from './session.tsx';
import { queryClient } from './query-client.ts';

/** A console that is slow to answer shows that it is there meanwhile. */
const PATIENCE_MS = 500;

/** Resolves when the first page can be drawn whole, or after a while all the same. */
export async function prepareFirstPage(): Promise<void> {
  const slow = new Promise<void>((resolve) => {
    setTimeout(resolve, PATIENCE_MS);
  });
  // What fails is asked for again by who needs it, and said there.
  await Promise.race([prepare().catch(() => undefined), slow]);
}

async function prepare(): Promise<void> {
  const page = pageAt(location.pathname)?.preload();
  await queryClient.prefetchQuery({
    queryKey: SESSION_KEY,
    queryFn: loadSession,
    staleTime: Number.POSITIVE_INFINITY,
    retry: false,
  });
  const session = queryClient.getQueryData<SessionView | null>(SESSION_KEY);
  if (session === undefined) return;
  if (session === null) return LoginPage.preload();
  if (session.mustChangePassword) return;
  const fleet = queryClient.prefetchQuery({
    queryKey: FLEET_KEY,
    queryFn: loadFleet,
    staleTime: Number.POSITIVE_INFINITY,
    retry: false,
  });
  await Promise.all([page, fleet]);
}
