// Hands things on in the order in which they came, where some of them let code go on that waits: what comes behind one of those is
// handed on when that code has gone on. Promises do not see to it: each `await` on the way to it is one more turn of the microtasks.

export class InTurn<T> {
  readonly #take: (one: T) => boolean;
  readonly #waiting: T[] = [];
  #isPaused = false;

  /** `take`: true when somebody has waited for it. */
  constructor(take: (one: T) => boolean) {
    this.#take = take;
  }

  push(one: T): void {
    this.#waiting.push(one);
    if (!this.#isPaused) this.#handOn();
  }

  /** Hands on at once what is there: nobody is to wait for it any more. */
  flush(): void {
    for (const one of this.#waiting.splice(0)) this.#take(one);
  }

  #handOn(): void {
    while (this.#waiting.length > 0) {
      const [one] = this.#waiting.splice(0, 1) as [T];
      if (!this.#take(one)) continue;
      this.#isPaused = true;
      // By then all microtasks have run.
      setImmediate(() => {
        this.#isPaused = false;
        this.#handOn();
      });
      return;
    }
  }
}
