// Whether a text matches a regular expression, in a time that grows with the length of both and with nothing else. The engine of
// the language tries one way after the other: of `(a+)+b`, or of `*-*-*-*-*.tmp` as a regular expression, there are more ways
// through one name than a machine goes in a year, and anybody may give a file that name.
//
// From the end of the text to its beginning, each step of the program is asked once for each place: "from here, does the rest match?"
//
//   (?:ab|c*)$     0 split 1 4 · 1 a · 2 b · 3 jump 6 · 4 split 5 6 · 5 c, then 4 · 6 end · 7 match
//
// What picomatch makes of patterns is known: alternatives, groups, classes, repetitions, look-ahead, `^`, `$`, `\b`. Flag `s`,
// code units instead of code points.
const UNLIMITED = Number.POSITIVE_INFINITY;
const STEPS_MAX = 10_000;
/** Groups within groups: each may take one more look at all steps of a place. */
const NESTED_MAX = 16;
const REPETITION = /^(?:[*+?]|\{(\d{1,4})(,?)(\d{0,4})\})\??/;
const ESCAPE = /^\\(?:x[0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|[^0-9kxuc])/s;
const CLASS = /^\[\^?(?:\\.|[^\]\\])*\]/s;
const CACHED_UNITS = 256;

type Part =
  | { readonly kind: 'unit'; readonly is: (unit: number) => boolean }
  | { readonly kind: 'start' | 'end' | 'boundary' }
  | { readonly kind: 'sequence' | 'choice'; readonly parts: readonly Part[] }
  | { readonly kind: 'repeat'; readonly part: Part; readonly min: number; readonly max: number }
  | { readonly kind: 'look'; readonly part: Part; readonly isWanted: boolean };

/** How the ways through a part grow: `choices`, times the length of the text for each of `repeats`. */
interface Growth {
  readonly choices: number;
  readonly repeats: number;
}

type Step =
  | { readonly kind: 'unit'; readonly is: (unit: number) => boolean; next: number }
  | { readonly kind: 'split'; one: number; other: number }
  | { readonly kind: 'start' | 'end' | 'boundary' | 'match' }
  | { readonly kind: 'look'; readonly program: Program; readonly isWanted: boolean };

/** What cannot be matched in this way. */
class Unsupported extends Error {}

export class LinearRegExp {
  readonly #program: Program;
  readonly #growth: Growth;

  private constructor(part: Part) {
    this.#program = new Program(part);
    this.#growth = growthOf(part);
  }

  /** The expression with this source, which is to match from the beginning; undefined: it has something that is not known here. */
  static of(source: string): LinearRegExp | undefined {
    if (!source.startsWith('^')) return undefined;
    try {
      return new LinearRegExp(new Parser(source).parse());
    } catch (thrown) {
      if (thrown instanceof Unsupported) return undefined;
      throw thrown;
    }
  }

  /** How many ways the engine of the language may go through a text of that length, at most. */
  waysMax(length: number): number {
    const { choices, repeats } = this.#growth;
    return choices * Math.max(1, length) ** repeats;
  }

  test(text: string): boolean {
    const program = this.#program;
    program.reset();
    for (let at = text.length; at >= 0; at -= 1) program.step(text, at);
    return program.matches;
  }
}

/** One expression, or what a look-ahead looks for. */
class Program {
  readonly #steps: Step[] = [];
  readonly #looks: Program[] = [];
  /** Which steps lead to a match, at this place of the text and at the next. */
  #here: Uint8Array;
  #next: Uint8Array;

  constructor(part: Part) {
    this.#add(part);
    this.#push({ kind: 'match' });
    this.#here = new Uint8Array(this.#steps.length);
    this.#next = new Uint8Array(this.#steps.length);
  }

  get matches(): boolean {
    return this.#here[0] === 1;
  }

  reset(): void {
    this.#here.fill(0);
    for (const look of this.#looks) look.reset();
  }

  /** Goes one place back, to `at`. */
  step(text: string, at: number): void {
    // What is looked for is known before whoever looks is asked.
    for (const look of this.#looks) look.step(text, at);
    [this.#here, this.#next] = [this.#next, this.#here];
    const here = this.#here.fill(0);
    for (let isNew = true; isNew;) {
      isNew = false;
      for (let index = this.#steps.length - 1; index >= 0; index -= 1) {
        if (here[index] === 1 || !this.#leads(index, text, at)) continue;
        here[index] = 1;
        isNew = true;
      }
    }
  }

  #leads(index: number, text: string, at: number): boolean {
    const step = this.#steps[index];
    switch (step?.kind) {
      case 'unit':
        return this.#next[step.next] === 1 && at < text.length && step.is(text.charCodeAt(at));
      case 'split':
        return this.#here[step.one] === 1 || this.#here[step.other] === 1;
      case 'start':
        return at === 0 && this.#here[index + 1] === 1;
      case 'end':
        return at === text.length && this.#here[index + 1] === 1;
      case 'boundary':
        return isWord(text, at - 1) !== isWord(text, at) && this.#here[index + 1] === 1;
      case 'look':
        return step.program.matches === step.isWanted && this.#here[index + 1] === 1;
      default:
        return step?.kind === 'match';
    }
  }

  #push<S extends Step>(step: S): S {
    if (this.#steps.length >= STEPS_MAX) throw new Unsupported();
    this.#steps.push(step);
    return step;
  }

  #add(part: Part): void {
    switch (part.kind) {
      case 'unit':
        this.#push({ ...part, next: this.#steps.length + 1 });
        return;
      case 'sequence':
        for (const one of part.parts) this.#add(one);
        return;
      case 'choice':
        this.#addChoice(part.parts);
        return;
      case 'repeat':
        this.#addRepeat(part);
        return;
      case 'look': {
        const program = new Program(part.part);
        this.#looks.push(program);
        this.#push({ kind: 'look', program, isWanted: part.isWanted });
        return;
      }
      default:
        this.#push({ kind: part.kind });
    }
  }

  #addChoice([first, ...others]: readonly Part[]): void {
    if (first === undefined) return;
    if (others.length === 0) {
      this.#add(first);
      return;
    }
    const split = this.#split();
    this.#add(first);
    const jump = this.#split();
    split.other = this.#steps.length;
    this.#addChoice(others);
    jump.one = this.#steps.length;
    jump.other = jump.one;
  }

  #addRepeat({ part, min, max }: Extract<Part, { kind: 'repeat' }>): void {
    for (let count = 0; count < min; count += 1) this.#add(part);
    if (max === UNLIMITED) {
      const again = this.#steps.length;
      const split = this.#split();
      this.#add(part);
      const jump = this.#split();
      jump.one = again;
      jump.other = again;
      split.other = this.#steps.length;
      return;
    }
    const splits: { other: number }[] = [];
    for (let count = min; count < max; count += 1) {
      splits.push(this.#split());
      this.#add(part);
    }
    for (const split of splits) split.other = this.#steps.length;
  }

  /** The next step, or another one that is told later. */
  #split(): Extract<Step, { kind: 'split' }> {
    const next = this.#steps.length + 1;
    return this.#push({ kind: 'split', one: next, other: next });
  }
}

/** Reads the source of an expression. Errors: Unsupported. */
class Parser {
  readonly #source: string;
  #at = 0;
  #nested = 0;

  constructor(source: string) {
    this.#source = source;
  }

  parse(): Part {
    const part = this.#choice();
    if (this.#at < this.#source.length) throw new Unsupported();
    return part;
  }

  #choice(): Part {
    const parts = [this.#sequence()];
    while (this.#take('|')) parts.push(this.#sequence());
    return { kind: 'choice', parts };
  }

  #sequence(): Part {
    const parts: Part[] = [];
    for (;;) {
      const next = this.#source[this.#at];
      if (next === undefined || next === '|' || next === ')') return { kind: 'sequence', parts };
      parts.push(this.#repeated(this.#atom(next)));
    }
  }

  #repeated(part: Part): Part {
    const [whole, least, comma, most] = REPETITION.exec(this.#source.slice(this.#at)) ?? [];
    if (whole === undefined) return part;
    if (part.kind !== 'unit' && part.kind !== 'choice') throw new Unsupported();
    this.#at += whole.length;
    if (least === undefined) {
      const max = whole.startsWith('?') ? 1 : UNLIMITED;
      return { kind: 'repeat', part, min: whole.startsWith('+') ? 1 : 0, max };
    }
    const min = Number(least);
    const max = comma === '' ? min : most === '' ? UNLIMITED : Number(most);
    return { kind: 'repeat', part, min, max };
  }

  #atom(next: string): Part {
    if (this.#take('^')) return { kind: 'start' };
    if (this.#take('$')) return { kind: 'end' };
    if (this.#take('\\b')) return { kind: 'boundary' };
    if (next === '(') return this.#group();
    const rest = this.#source.slice(this.#at);
    const atom = next === '\\' ? ESCAPE.exec(rest) : next === '[' ? CLASS.exec(rest) : [next];
    const [text] = atom ?? [];
    if (text === undefined || text === '\\B') throw new Unsupported();
    this.#at += text.length;
    return { kind: 'unit', is: unitTest(text) };
  }

  #group(): Part {
    const isAhead = this.#take('(?=');
    const isNotAhead = !isAhead && this.#take('(?!');
    if (!isAhead && !isNotAhead && !this.#take('(?:')) {
      if (this.#source.startsWith('(?', this.#at)) throw new Unsupported();
      this.#take('(');
    }
    this.#nested += 1;
    if (this.#nested > NESTED_MAX) throw new Unsupported();
    const part = this.#choice();
    this.#nested -= 1;
    if (!this.#take(')')) throw new Unsupported();
    return isAhead || isNotAhead ? { kind: 'look', part, isWanted: isAhead } : part;
  }

  #take(text: string): boolean {
    if (!this.#source.startsWith(text, this.#at)) return false;
    this.#at += text.length;
    return true;
  }
}

/** Whether a code unit is what one atom of an expression stands for. */
function unitTest(atom: string): (unit: number) => boolean {
  if (atom === '.') return () => true;
  const literal = atom.charCodeAt(0);
  if (atom.length === 1) return (unit) => unit === literal;
  const one = new RegExp(`^${atom}$`, 's');
  const is = (unit: number): boolean => one.test(String.fromCharCode(unit));
  const known: boolean[] = [];
  return (unit) => (unit < CACHED_UNITS ? (known[unit] ??= is(unit)) : is(unit));
}

function isWord(text: string, at: number): boolean {
  return /^\w$/.test(text.charAt(at));
}

function growthOf(part: Part): Growth {
  switch (part.kind) {
    case 'sequence':
      return part.parts.map(growthOf).reduce(
        (all, { choices, repeats }) => ({
          choices: all.choices * choices,
          repeats: all.repeats + repeats,
        }),
        FIXED,
      );
    case 'choice': {
      const each = part.parts.map(growthOf);
      return {
        choices: each.reduce((sum, { choices }) => sum + choices, 0),
        repeats: Math.max(...each.map(({ repeats }) => repeats)),
      };
    }
    case 'repeat':
      return growthOfRepeat(part);
    case 'look': {
      const growth = growthOf(part.part);
      return growth.repeats === 0 ? FIXED : growth;
    }
    default:
      return FIXED;
  }
}

const FIXED: Growth = { choices: 1, repeats: 0 };

/** Where what is repeated has ways of its own, each of them may be gone in each repetition. */
function growthOfRepeat({ part, min, max }: Extract<Part, { kind: 'repeat' }>): Growth {
  const { choices, repeats } = growthOf(part);
  if (max === UNLIMITED) {
    const isFixed = choices === 1 && repeats === 0;
    return { choices: 1, repeats: isFixed ? 1 : UNLIMITED };
  }
  return { choices: choices ** max * (max - min + 1), repeats: repeats * max };
}
