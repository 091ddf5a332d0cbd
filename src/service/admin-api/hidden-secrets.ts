// Secrets in what a node tells: who may look but not change has no use for them. Pure.
const SECRET =
  /(secret|passwd|password|passphrase|token|api_?key|access_?key|authorization|cookie|community)$/i;
/** `http://user:password@host/`, also within a command. */
const USER_IN_URL = /(:\/\/)[^\s/?#@]*@/g;
export const HIDDEN = '(hidden)';

/**
 * A copy in which texts and numbers under keys that name a secret are {@link HIDDEN}, at any depth, and users with their passwords in
 * addresses. Files that hold secrets are named all the same.
 */
export function withSecretsHidden<T>(value: T): T {
  return hidden(value) as T;
}

/** The same of a text. */
export function withUsersHidden(text: string): string {
  return text.replaceAll(USER_IN_URL, `$1${HIDDEN}@`);
}

/** An address of which no more is shown than what cannot be a key: these are in the query, or a long part of the path. */
export function withKeyHidden(url: string): string {
  const { pathname, search, username, password } = new URL(url);
  const isOpen = `${username}${password}${search}` === '' && !/[^/]{16}/.test(pathname);
  return isOpen ? url : shortened(url);
}

/** Its beginning and its end: enough to know it again. */
export function shortened(url: string): string {
  return `${new URL(url).origin}/…${url.slice(-4)}`;
}

function hidden(value: unknown): unknown {
  if (typeof value === 'string') return withUsersHidden(value);
  if (Array.isArray(value)) return value.map(hidden);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(
    Object.entries(value).map(([key, one]) => [key, isSecret(key, one) ? HIDDEN : hidden(one)]),
  );
}

/** Passwords may be written as numbers. */
function isSecret(key: string, value: unknown): boolean {
  return SECRET.test(key) && (typeof value === 'string' || typeof value === 'number');
}
