// What patterns would mirror, looked at by the node while they are being written: the look before is given up as soon as they change.
import { useEffect, useState } from 'react';
import type { OperationView } from '../../../service/admin-api/operations.ts';
import type { PatternPreview } from '../../../service/admin-api/pattern-preview.ts';
import { ApiError, call, nodeRoute } from '../app/api.ts';

const PAUSE_MS = 500;
const BUSY_RETRY_MS = 1000;
const BUSY_TRIES = 5;

export interface Preview {
  readonly isLooking: boolean;
  /** Files that were looked at so far. */
  readonly seen: number;
  readonly result: PatternPreview | null;
  readonly error: ApiError | null;
}

export interface PreviewWish {
  readonly node: string;
  readonly dir: string;
  readonly include: readonly string[];
  readonly exclude: readonly string[];
}

const NOTHING: Preview = { isLooking: false, seen: 0, result: null, error: null };

export function usePreview(wish: PreviewWish): Preview {
  const [told, setTold] = useState<{ readonly key: string; readonly preview: Preview }>({
    key: '',
    preview: NOTHING,
  });
  const key = JSON.stringify(wish);
  useEffect(() => {
    const { node, dir, include, exclude } = JSON.parse(key) as PreviewWish;
    if (!dir.startsWith('/')) return undefined;
    const given = new AbortController();
    const tell = (preview: Preview): void => {
      if (!given.signal.aborted) setTold({ key, preview });
    };
    const body = { dir, ...(include.length === 0 ? {} : { include }), exclude };
    const timer = setTimeout(() => void look(node, body, given.signal, tell), PAUSE_MS);
    return () => {
      clearTimeout(timer);
      given.abort();
    };
  }, [key]);
  // What is shown of earlier patterns stays until there is something newer: it would flicker otherwise.
  return told.key === key ? told.preview : { ...told.preview, error: null, isLooking: true };
}

async function look(
  node: string,
  body: object,
  signal: AbortSignal,
  tell: (preview: Preview) => void,
): Promise<void> {
  try {
    let view = await started(node, body, signal);
    const route = nodeRoute(node, `/operations/${view.id}`);
    // Two looks at a time are all that a node makes: one that nobody waits for any more is ended.
    signal.addEventListener('abort', () => {
      void call(route, { method: 'DELETE' }).catch(() => undefined);
    });
    while (view.state === 'running') {
      tell({ ...NOTHING, isLooking: true, seen: view.progress.done ?? 0 });
      view = await call<OperationView>(route, { query: { wait: 1 }, signal });
    }
    const { error, result } = view;
    if (error === null) tell({ ...NOTHING, result: result as PatternPreview });
    else tell({ ...NOTHING, error: new ApiError(409, error) });
  } catch (thrown) {
    if (thrown instanceof ApiError) tell({ ...NOTHING, error: thrown });
  }
}

/** Waits a little for the end of looks before. */
async function started(node: string, body: object, signal: AbortSignal): Promise<OperationView> {
  for (let tries = 1; ; tries += 1) {
    signal.throwIfAborted();
    try {
      return await call<OperationView>(nodeRoute(node, '/preview'), { method: 'POST', body });
    } catch (thrown) {
      const isBusy = thrown instanceof ApiError && thrown.code === 'REQUESTS_TOO_MANY';
      if (!isBusy || tries >= BUSY_TRIES) throw thrown;
      await new Promise((resolve) => {
        setTimeout(resolve, BUSY_RETRY_MS);
      });
    }
  }
}
