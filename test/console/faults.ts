// What forms say at their fields.
import type { Locator } from 'playwright-core';
import { expect } from 'vitest';

const FAULT_TIMEOUT_MS = 20_000;

/** What stands at a field as its fault; fails when nothing does. */
export async function faultAt(field: Locator): Promise<string> {
  const isInvalid = async (): Promise<string | null> => field.getAttribute('aria-invalid');
  await expect.poll(isInvalid, { timeout: FAULT_TIMEOUT_MS }).toBe('true');
  const ids = (await field.getAttribute('aria-describedby'))?.split(' ').filter(Boolean) ?? [];
  const texts = await Promise.all(
    ids.map(async (id) => field.page().locator(`[id="${id}"]`).textContent()),
  );
  return texts.join(' ');
}
