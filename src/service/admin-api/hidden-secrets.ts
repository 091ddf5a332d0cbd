// Secrets in what a node tells: who may look but not change has no use for them. Pure.
const SECRET = /(secret|passwd|password|token)$/i;
export const HIDDEN = '(hidden)';

/** A copy in which texts under keys that name a secret are {@link HIDDEN}, at any depth. Files that hold secrets are named all the same. */
export function withSecretsHidden<T>(value: T): T {
  return hidden(value) as T;
}

function hidden(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(hidden);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(
    Object.entries(value).map(([key, one]) => [
      key,
      typeof one === 'string' && SECRET.test(key) ? HIDDEN : hidden(one),
    ]),
  );
}
