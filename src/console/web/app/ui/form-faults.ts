// Faults that the API found in a form, to be shown at its fields.
import type { ApiError } from '../api.ts';

/**
 * The faults for the fields of a form, by field, and the names of those that the form does not have. `fields` tells which field of
 * the form a field of the API is, where they differ.
 */
export function formFaults(
  { faults }: Pick<ApiError, 'faults'>,
  known: readonly string[],
  fields: Readonly<Record<string, string>> = {},
): { readonly atFields: Record<string, string>; readonly elsewhere: string[] } {
  const atFields: Record<string, string> = {};
  const elsewhere: string[] = [];
  for (const [field, fault] of Object.entries(faults)) {
    const own = fields[field] ?? field;
    if (known.includes(own)) atFields[own] = fault;
    else elsewhere.push(`${field}: ${fault}`);
  }
  return { atFields, elsewhere };
}
