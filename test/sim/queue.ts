// Virtual time: what happens next. A binary heap; equal times in the order in which they were asked for.

type Work = () => void;

export class EventQueue {
  now = 0;
  #times: number[] = [];
  #orders: number[] = [];
  #works: Work[] = [];
  #order = 0;

  get size(): number {
    return this.#works.length;
  }

  /** Runs `work` at the true time `at`, or now when that is past. */
  at(at: number, work: Work): void {
    const time = at > this.now ? at : this.now;
    this.#order += 1;
    this.#up(this.#works.length, time, this.#order, work);
  }

  after(ms: number, work: Work): void {
    this.at(this.now + ms, work);
  }

  /** Runs everything up to `until`. */
  run(until: number): void {
    while (this.#works.length > 0 && (this.#times[0] ?? Infinity) <= until) {
      const work = this.#works[0];
      this.now = this.#times[0] ?? this.now;
      this.#pop();
      work?.();
    }
    this.now = until;
  }

  #up(from: number, time: number, order: number, work: Work): void {
    const times = this.#times;
    const orders = this.#orders;
    const works = this.#works;
    let at = from;
    while (at > 0) {
      const parent = (at - 1) >> 1;
      const parentTime = times[parent] ?? 0;
      if (parentTime < time || (parentTime === time && (orders[parent] ?? 0) < order)) break;
      times[at] = parentTime;
      orders[at] = orders[parent] ?? 0;
      works[at] = works[parent] ?? work;
      at = parent;
    }
    times[at] = time;
    orders[at] = order;
    works[at] = work;
  }

  #pop(): void {
    const time = this.#times.pop();
    const order = this.#orders.pop();
    const work = this.#works.pop();
    if (time === undefined || order === undefined || work === undefined) return;
    if (this.#works.length > 0) this.#down(time, order, work);
  }

  #down(time: number, order: number, work: Work): void {
    const times = this.#times;
    const orders = this.#orders;
    const works = this.#works;
    const size = works.length;
    let at = 0;
    for (;;) {
      let child = at * 2 + 1;
      if (child >= size) break;
      if (child + 1 < size && this.#isBefore(child + 1, child)) child += 1;
      const childTime = times[child] ?? 0;
      if (time < childTime || (time === childTime && order < (orders[child] ?? 0))) break;
      times[at] = childTime;
      orders[at] = orders[child] ?? 0;
      works[at] = works[child] ?? work;
      at = child;
    }
    times[at] = time;
    orders[at] = order;
    works[at] = work;
  }

  #isBefore(a: number, b: number): boolean {
    const timeA = this.#times[a] ?? 0;
    const timeB = this.#times[b] ?? 0;
    return timeA < timeB || (timeA === timeB && (this.#orders[a] ?? 0) < (this.#orders[b] ?? 0));
  }
}
