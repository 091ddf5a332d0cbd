// Says of a refusal which field of what was sent it is about, so that a form can show it there: `details.fields` and
// `details.faults`, as strict-config.ts gives them for values that are written wrongly.
import { UnderstudyError } from './errors.ts';

/** Runs `work`; a refusal that names no field gets this one. */
export function atField<T>(field: string, work: () => T): T {
  try {
    return work();
  } catch (thrown) {
    throw withField(field, thrown);
  }
}

/** The same for work that takes its time. */
export async function atFieldLater<T>(field: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (thrown) {
    throw withField(field, thrown);
  }
}

/**
 * The same for a part of something that has faults of its own: its fields are below `field`, and called as people write them.
 * `written`: names as kept → as written, where they differ (`journalBytesMax` → `journal`).
 */
export function belowField<T>(
  field: string,
  written: Readonly<Record<string, string>>,
  work: () => T,
): T {
  try {
    return work();
  } catch (thrown) {
    if (!(thrown instanceof UnderstudyError)) throw thrown;
    const { code, message, details } = thrown;
    const { fields, faults } = details;
    if (!isTexts(fields) || !isTexts(faults)) throw withField(field, thrown);
    const renamed = new Map(fields.map((one) => [one, ownName(one, field, written)]));
    const inWords = (text: string): string =>
      fields.reduce((all, one) => all.replaceAll(`"${one}"`, `"${renamed.get(one)}"`), text);
    throw new UnderstudyError(code, inWords(message), {
      cause: thrown,
      details: { ...details, fields: [...renamed.values()], faults: faults.map(inWords) },
    });
  }
}

/** `undo.hours` → `replication.undo.hours`. */
function ownName(one: string, field: string, written: Readonly<Record<string, string>>): string {
  if (one === field || one.startsWith(`${field}.`)) return one;
  const parts = one.split('.').map((part) => written[part] ?? part);
  return [field, ...parts].join('.');
}

const isTexts = (value: unknown): value is readonly string[] =>
  Array.isArray(value) && value.every((one) => typeof one === 'string');

function withField(field: string, thrown: unknown): unknown {
  if (!(thrown instanceof UnderstudyError) || thrown.details['fields'] !== undefined) return thrown;
  const { code, message, details } = thrown;
  return new UnderstudyError(code, message, {
    cause: thrown,
    details: { ...details, fields: [field], faults: [message] },
  });
}
