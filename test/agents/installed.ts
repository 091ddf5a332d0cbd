import { existsSync } from 'node:fs';

/** Those whose programs are on this machine; standard error says which are left out, and for want of what. */
export function installed<T>(cases: readonly T[], describe: (one: T) => Wanted): T[] {
  return cases.filter((one) => {
    const { name, needs } = describe(one);
    const missing = needs.find((path) => !existsSync(path));
    if (missing === undefined) return true;
    console.error(`${name} is left out: there is no ${missing}`);
    return false;
  });
}

interface Wanted {
  readonly name: string;
  readonly needs: readonly string[];
}
