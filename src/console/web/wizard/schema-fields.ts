// From the JSON Schema of an agent's parameters to fields of a form, and from what was typed to parameters. Pure. What a form cannot
// show as a field of its own is written as JSON.
export interface ParameterField {
  readonly name: string;
  readonly kind: 'text' | 'number' | 'boolean' | 'choice' | 'list' | 'json';
  readonly isRequired: boolean;
  readonly isSecret: boolean;
  readonly description: string;
  /** What holds when nothing is written, as text; empty: nothing is said. */
  readonly preset: string;
  readonly choices: readonly string[];
}

/** As typed: text for most, a boolean for switches. */
export type ParameterValues = Readonly<Record<string, string | boolean>>;

interface Schema {
  readonly type?: unknown;
  readonly enum?: unknown;
  readonly items?: unknown;
  readonly anyOf?: unknown;
  readonly default?: unknown;
  readonly description?: unknown;
  readonly secret?: unknown;
  readonly properties?: unknown;
  readonly required?: unknown;
}

const FIELDS_MAX = 100;

/** Required ones first, otherwise in the agent's order. */
export function fieldsOf(schema: Readonly<Record<string, unknown>>): ParameterField[] {
  const { properties, required } = schema as Schema;
  const needed = Array.isArray(required) ? required : [];
  return Object.entries((properties ?? {}) as Record<string, Schema>)
    .slice(0, FIELDS_MAX)
    .map(([name, one]) => ({
      name,
      kind: kindOf(one),
      isRequired: needed.includes(name),
      isSecret: one.secret === true,
      description: typeof one.description === 'string' ? one.description : '',
      preset: presetOf(one.default),
      choices: Array.isArray(one.enum) ? one.enum.map(String) : [],
    }))
    .toSorted((one, other) => Number(other.isRequired) - Number(one.isRequired));
}

function kindOf(schema: Schema): ParameterField['kind'] {
  if (Array.isArray(schema.enum)) return 'choice';
  switch (schema.type) {
    case 'string':
      return 'text';
    case 'integer':
    case 'number':
      return 'number';
    case 'boolean':
      return 'boolean';
    case 'array':
      return (schema.items as Schema | undefined)?.type === 'string' ? 'list' : 'json';
    default:
      // A command is a text, or a list of its words: a text does for both.
      return Array.isArray(schema.anyOf) &&
        schema.anyOf.some((one) => (one as Schema).type === 'string')
        ? 'text'
        : 'json';
  }
}

function presetOf(value: unknown): string {
  if (value === undefined || value === null) return '';
  if (Array.isArray(value)) return value.join(', ');
  return typeof value === 'object'
    ? Object.keys(value).length === 0
      ? ''
      : JSON.stringify(value)
    : String(value as string | number | boolean);
}

/**
 * What was typed, as parameters; what was left empty is left out, so that the agent's own default holds. Text that is no number or
 * no JSON goes as it is: the agent says what is wrong with it.
 */
export function parametersOf(
  fields: readonly ParameterField[],
  values: ParameterValues,
): Record<string, unknown> {
  const entries = fields.flatMap((field): [string, unknown][] => {
    const value = values[field.name];
    if (value === undefined || value === '') return [];
    return [[field.name, parameterOf(field, value)]];
  });
  return Object.fromEntries(entries);
}

function parameterOf({ kind }: ParameterField, value: string | boolean): unknown {
  if (typeof value === 'boolean') return value;
  switch (kind) {
    case 'number': {
      const number = Number(value);
      return Number.isFinite(number) ? number : value;
    }
    case 'boolean':
      return value === 'true';
    case 'list':
      return linesOf(value);
    case 'json':
      try {
        return JSON.parse(value) as unknown;
      } catch {
        return value;
      }
    default:
      return value;
  }
}

/** The other way round: what discovery proposes, in the form. */
export function valuesOf(
  fields: readonly ParameterField[],
  parameters: Readonly<Record<string, unknown>>,
): Record<string, string | boolean> {
  return Object.fromEntries(
    fields.flatMap(({ name, kind }): [string, string | boolean][] => {
      const value = parameters[name];
      if (value === undefined || value === null) return [];
      if (typeof value === 'boolean') return [[name, value]];
      if (kind === 'list' && Array.isArray(value)) return [[name, value.join('\n')]];
      if (Array.isArray(value)) return [[name, shellText(value.map(String))]];
      return [[name, typeof value === 'object' ? JSON.stringify(value) : String(value as string)]];
    }),
  );
}

const PLAIN_WORD = /^[\w@%+=:,./-]+$/;

/** A list of words as a text that the shell takes for the same ones: `-g 'daemon off;'`. */
function shellText(words: readonly string[]): string {
  return words
    .map((word) => (PLAIN_WORD.test(word) ? word : `'${word.replaceAll("'", String.raw`'\''`)}'`))
    .join(' ');
}

/** Lines that say something. */
export function linesOf(text: string): string[] {
  return text
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '');
}
