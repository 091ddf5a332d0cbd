/**
 * Makes something when it is needed for the first time. Schemas of answers are needed by the API's document and by tests, and
 * each takes memory that an idle node spares.
 */
export function once<T>(make: () => T): () => T {
  let made: T | undefined;
  return () => (made ??= make());
}
