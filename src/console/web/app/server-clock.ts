// The console's clock as this browser knows it: ages of what nodes said are by that clock, and the browser's own may be wrong.
import { useEffect, useState } from 'react';

let aheadMs = 0;

/** Takes note of the time of an answer that has just come. */
export function takeClock(at: string): void {
  const told = Date.parse(at);
  if (Number.isFinite(told)) aheadMs = told - Date.now();
}

export const serverNow = (): number => Date.now() + aheadMs;

/** How long ago that was, by the console's clock. */
export function ageOf(at: string, nowMs = serverNow()): number {
  return Math.max(0, nowMs - Date.parse(at));
}

/** The console's time, anew each `everyMs`. */
export function useServerNow(everyMs = 1000): number {
  const [now, setNow] = useState(serverNow);
  useEffect(() => {
    const timer = setInterval(() => setNow(serverNow()), everyMs);
    return () => clearInterval(timer);
  }, [everyMs]);
  return now;
}
