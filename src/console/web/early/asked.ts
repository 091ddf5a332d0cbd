// What early.ts has asked for before the application was there. Each answer is taken once: later ones are asked for anew.

/** By path below `/api/console`; null: it did not come, or says nothing that could be used. */
export type Early = Partial<Record<string, Promise<Response | null>>>;

declare global {
  interface Window {
    understudyEarly?: Early;
  }
}

/** Null: ask for it. */
export async function takeEarly(path: string): Promise<Response | null> {
  const asked = window.understudyEarly?.[path];
  if (asked === undefined) return null;
  delete window.understudyEarly?.[path];
  return asked;
}
