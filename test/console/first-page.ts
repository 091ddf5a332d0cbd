// When the first page can be used, by the browser's own clock: a link of it is drawn and nothing covers it, the picture with it has been made,
// and the page's thread takes up other work. From the beginning of the navigation.
import type { Browser, BrowserContext, Page } from 'playwright-core';

export interface Usable {
  /** Until it could be used, ms. */
  readonly clockMs: number;
  /** What the page's main thread had used of a processor by then, ms. */
  readonly cpuMs: number;
}

const watchFor = (name: string): string => `(() => {
  if (location.protocol === 'about:') return;
  const isThere = () => {
    const link = [...document.querySelectorAll('a')].find(
      (one) => one.textContent === ${JSON.stringify(name)},
    );
    const box = link?.getBoundingClientRect();
    if (box === undefined) return false;
    const hit = document.elementFromPoint(box.x + box.width / 2, box.y + box.height / 2);
    return hit !== null && link.contains(hit);
  };
  window.usable = new Promise((resolve) => {
    const look = () => {
      if (!isThere()) requestAnimationFrame(look);
      else requestAnimationFrame(() => setTimeout(() => resolve(performance.now())));
    };
    look();
  });
})()`;

/** Loads the page and waits until the link `name` could be clicked. `watch` has been called for `page`. */
async function load(page: Page, url: string, cpuMs: () => Promise<number>): Promise<Usable> {
  await page.goto('about:blank');
  const before = await cpuMs();
  await page.goto(url, { waitUntil: 'commit' });
  const clockMs = await page.evaluate<number>('window.usable');
  return { clockMs, cpuMs: (await cpuMs()) - before };
}

/**
 * Loads the first page in a browser that has nothing of it yet, then once more with what it has kept. `session`: the cookies of who is
 * logged in. The page is left open, as it is after the second time.
 */
export async function firstPage(
  browser: Browser,
  {
    url,
    name,
    session,
  }: { url: string; name: string; session: Awaited<ReturnType<BrowserContext['storageState']>> },
): Promise<{ cold: Usable; warm: Usable; page: Page }> {
  const context = await browser.newContext({ storageState: session });
  const page = await context.newPage();
  await page.addInitScript(watchFor(name));
  const devtools = await context.newCDPSession(page);
  await devtools.send('Performance.enable', { timeDomain: 'threadTicks' });
  const cpuMs = async (): Promise<number> => {
    const { metrics } = await devtools.send('Performance.getMetrics');
    return (metrics.find((one) => one.name === 'TaskDuration')?.value ?? Number.NaN) * 1000;
  };
  const cold = await load(page, url, cpuMs);
  const warm = await load(page, url, cpuMs);
  return { cold, warm, page };
}
