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

function withField(field: string, thrown: unknown): unknown {
  if (!(thrown instanceof UnderstudyError) || thrown.details['fields'] !== undefined) return thrown;
  const { code, message, details } = thrown;
  return new UnderstudyError(code, message, {
    cause: thrown,
    details: { ...details, fields: [field], faults: [message] },
  });
}
