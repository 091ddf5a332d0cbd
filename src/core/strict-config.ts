// Configuration written by people: every fault is one sentence that names the key and, for a key
// that does not exist, the keys that do.
import { z } from 'zod';
import { UnderstudyError } from './errors.ts';

const FAULTS_MAX = 8;

/** Checks `value`; throws an UnderstudyError with `code`, naming `origin` and each fault. */
export function parseStrictly<T>(
  schema: z.ZodType<T>,
  value: unknown,
  options: { code: string; origin: string },
): T {
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  const why = describeFault(schema, parsed.error);
  throw new UnderstudyError(options.code, `${options.origin}: ${why}`, {
    cause: parsed.error,
    details: faultDetails(schema, parsed.error),
  });
}

/** For forms: where each fault is (`replication.mode`, `paths[0].dir`), and what it is, in two lists. */
export function faultDetails(
  schema: z.ZodType,
  error: z.ZodError,
): { fields: readonly string[]; faults: readonly string[] } {
  const issues = issuesOf(error);
  return {
    fields: issues.map((issue) => formatPath(issue.path)),
    faults: issues.map((issue) => describeIssue(schema, issue)),
  };
}

/** One sentence per issue, joined by "; ". */
export function describeFault(schema: z.ZodType, error: z.ZodError): string {
  return issuesOf(error)
    .map((issue) => describeIssue(schema, issue))
    .join('; ');
}

function issuesOf(error: z.ZodError): z.core.$ZodIssue[] {
  return error.issues.flatMap(withinUnion).slice(0, FAULTS_MAX);
}

/** Of a value that may be of several kinds and is like one of them: what is wrong inside, instead of "none of them". */
function withinUnion(issue: z.core.$ZodIssue): z.core.$ZodIssue[] {
  if (issue.code !== 'invalid_union') return [issue];
  const alike = issue.errors.filter((option) => option.every((one) => isInside(one)));
  const [option] = alike;
  if (option === undefined || alike.length > 1) return [issue];
  return option.flatMap((one) => withinUnion({ ...one, path: [...issue.path, ...one.path] }));
}

const isInside = ({ code, path }: z.core.$ZodIssue): boolean =>
  path.length > 0 || code === 'unrecognized_keys';

function describeIssue(schema: z.ZodType, issue: z.core.$ZodIssue): string {
  const where = issue.path.length === 0 ? '' : ` in "${formatPath(issue.path)}"`;
  if (issue.code === 'unrecognized_keys') {
    const unknown = issue.keys.map((key) => `"${key}"`).join(', ');
    const allowed = allowedKeys(schema, issue.path);
    const hint = allowed.length === 0 ? '' : ` (allowed: ${allowed.join(', ')})`;
    return `unknown key ${unknown}${where}${hint}`;
  }
  if (issue.code === 'invalid_type' && issue.message.endsWith('received undefined')) {
    return `"${formatPath(issue.path)}" is missing`;
  }
  if (issue.code === 'invalid_union' && issue.message === 'Invalid input') {
    return `${unionSentence(issue)}${where}`;
  }
  return `${issue.message}${where}`;
}

/** What each of the kinds would have been, instead of "none of them". */
function unionSentence({ message, errors }: z.core.$ZodIssueInvalidUnion): string {
  const wishes = errors.flatMap((option) =>
    option.map((one) => one.message.replace(/^Invalid (?:input|option): /, '')),
  );
  return wishes.length === 0 ? message : `${message}: ${[...new Set(wishes)].join(', or ')}`;
}

function formatPath(path: readonly PropertyKey[]): string {
  return path
    .map((part) => (typeof part === 'number' ? `[${part}]` : `.${String(part)}`))
    .join('')
    .replace(/^\./, '');
}

/** Keys of the object schema at `path`, through optionals, defaults, arrays and refinements. */
function allowedKeys(schema: z.ZodType, path: readonly PropertyKey[]): string[] {
  let current: z.core.$ZodType | undefined = unwrap(schema);
  for (const part of path) {
    if (current instanceof z.ZodObject) current = current.shape[String(part)] as z.core.$ZodType;
    else if (current instanceof z.ZodArray) current = current.element;
    else if (current instanceof z.ZodRecord) current = current.valueType;
    else return [];
    current = unwrap(current);
  }
  return current instanceof z.ZodObject ? Object.keys(current.shape) : [];
}

function unwrap(schema: z.core.$ZodType | undefined): z.core.$ZodType | undefined {
  let current = schema;
  while (
    current instanceof z.ZodOptional ||
    current instanceof z.ZodNullable ||
    current instanceof z.ZodDefault ||
    current instanceof z.ZodPrefault ||
    current instanceof z.ZodPipe
  ) {
    current = current instanceof z.ZodPipe ? current.in : current.unwrap();
  }
  return current;
}
