// Whether it pays to look for the next request for a while instead of going to sleep at once: an application that
// waits for an answer comes back soon after it, one whose commit is under way does not. Learned for every
// operation from what followed it before. Looking for nothing takes a processor from the application.
const OPERATIONS = 64;
const SURE = 3;
const PAYS_FROM = 2;

export class SpinPredictor {
  /** By opcode, 0 to {@link SURE}: two mistakes in a row change the answer. */
  readonly #levels = new Int8Array(OPERATIONS).fill(SURE);

  /** Whether another request is to be expected soon after one with this opcode. */
  pays(opcode: number): boolean {
    return (this.#levels[opcode & (OPERATIONS - 1)] ?? 0) >= PAYS_FROM;
  }

  /** Another one did come soon, or did not. */
  learn(opcode: number, isSoon: boolean): void {
    const index = opcode & (OPERATIONS - 1);
    const level = (this.#levels[index] ?? 0) + (isSoon ? 1 : -1);
    this.#levels[index] = Math.min(SURE, Math.max(0, level));
  }
}
