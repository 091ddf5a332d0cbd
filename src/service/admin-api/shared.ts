/**
 * Makes what takes processes and time once for all who ask meanwhile: who asks while an answer is being made gets that one.
 */
export function shared<T>(make: () => Promise<T>): () => Promise<T> {
  let making: Promise<T> | undefined;
  return async () => {
    making ??= make().finally(() => {
      making = undefined;
    });
    return making;
  };
}
