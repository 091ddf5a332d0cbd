// Assertions stay on in production: a broken invariant ends the process before it can spread into
// the copy. Expected outcomes are returned values, never assertions.

/** Thrown only by {@link assert}; nobody catches it to go on. */
export class AssertionFailure extends Error {
  override readonly name = 'AssertionFailure';
}

/** Ends the process (by throwing) when an invariant does not hold. */
export function assert(condition: boolean, invariant: string): asserts condition {
  if (!condition) throw new AssertionFailure(`invariant broken: ${invariant}`);
}

/** Unwraps a value that the surrounding logic has already proven to exist. */
export function present<T>(value: T | undefined | null, what: string): T {
  assert(value !== undefined && value !== null, `${what} is present`);
  return value;
}

/** Makes a `switch` over a discriminated union exhaustive at compile time. */
export function unreachable(value: never): never {
  throw new AssertionFailure(`unreachable value: ${JSON.stringify(value)}`);
}
