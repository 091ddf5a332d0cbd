// The whole screen of a terminal, on loan: on the alternate screen, so that what was there comes back, and only lines that have
// changed are written, so that nothing flickers. It is given back on every way out but a SIGKILL.
import { cut, widthOf } from './text.ts';

const ESC = '\u001b[';
const ENTER = `${ESC}?1049h${ESC}?25l${ESC}?7l`;
const LEAVE = `${ESC}?7h${ESC}?25h${ESC}?1049l`;
// Terminals that know of it show a frame as a whole; others ignore it.
const BEGIN_FRAME = `${ESC}?2026h`;
const END_FRAME = `${ESC}?2026l`;
const CLEAR = `${ESC}2J`;
const CLEAR_TO_END = `${ESC}K`;
const RESET = `${ESC}0m`;

export const STYLES = { bold: 1, dim: 2, red: 31, green: 32, yellow: 33, inverse: 7 } as const;
export type Style = keyof typeof STYLES;

/** A piece of a line; its text has no control characters. */
export interface Piece {
  readonly text: string;
  readonly styles?: readonly Style[];
}
export type Line = readonly Piece[];

export interface Terminal {
  readonly columns: number;
  readonly rows: number;
  /** Written at once, also while the process ends. */
  write(text: string): void;
}

export class Screen {
  readonly #terminal: Terminal;
  readonly #color: boolean;
  #shown: string[] = [];
  #size = '';
  #isOpen = false;

  constructor(terminal: Terminal, { color }: { readonly color: boolean }) {
    this.#terminal = terminal;
    this.#color = color;
  }

  open(): void {
    if (this.#isOpen) return;
    this.#isOpen = true;
    this.#size = '';
    this.#terminal.write(ENTER);
  }

  /** May be called at any time, and twice. */
  close(): void {
    if (!this.#isOpen) return;
    this.#isOpen = false;
    this.#terminal.write(LEAVE);
  }

  /** Shows these lines from the top; what does not fit is left out. */
  draw(lines: readonly Line[]): void {
    if (!this.#isOpen) return;
    const { columns, rows } = this.#terminal;
    let output = '';
    const size = `${columns}x${rows}`;
    if (size !== this.#size) {
      this.#size = size;
      this.#shown = [];
      output += CLEAR;
    }
    const texts = lines.slice(0, rows).map((line) => this.#render(line, columns));
    for (let row = 0; row < Math.max(texts.length, this.#shown.length); row += 1) {
      const text = texts[row] ?? '';
      if (text === (this.#shown[row] ?? '')) continue;
      output += `${ESC}${row + 1};1H${text}${CLEAR_TO_END}`;
    }
    this.#shown = texts;
    if (output !== '') this.#terminal.write(`${BEGIN_FRAME}${output}${END_FRAME}`);
  }

  #render(line: Line, columns: number): string {
    let left = columns;
    let text = '';
    for (const piece of line) {
      const short = cut(piece.text, left);
      left -= widthOf(short);
      text += this.#styled(short, piece.styles ?? []);
      // Of wide characters a column may be left over: nothing follows what was cut.
      if (left <= 0 || short !== piece.text) break;
    }
    return text;
  }

  #styled(text: string, styles: readonly Style[]): string {
    // Without colour only what tells by itself is left: weight.
    const codes = styles
      .filter((style) => this.#color || style === 'bold' || style === 'inverse')
      .map((style) => STYLES[style]);
    if (codes.length === 0 || text === '') return text;
    return `${ESC}${codes.join(';')}m${text}${RESET}`;
  }
}
