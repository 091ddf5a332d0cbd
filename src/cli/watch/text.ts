// Text for a terminal: what it takes on the screen, cut to a width, without anything that the terminal would obey.
import stringWidth from 'string-width';

const ELLIPSIS = '…';
// A sentence may carry a file name or what an application said; neither may move the cursor.
// oxlint-disable-next-line no-control-regex -- these are meant
const CONTROL = /[\u0000-\u001f\u007f-\u009f\u202a-\u202e\u2066-\u2069]/g;

const segmenter = new Intl.Segmenter();

/** Columns that a text takes. */
export function widthOf(text: string): number {
  return stringWidth(text);
}

/** Without control characters and without what turns the direction of writing. */
export function harmless(text: string): string {
  return text.replaceAll(CONTROL, ' ');
}

/** At most `columns` wide; what was cut off shows as an ellipsis. */
export function cut(text: string, columns: number): string {
  if (columns <= 0) return '';
  if (widthOf(text) <= columns) return text;
  let kept = '';
  let width = 0;
  for (const { segment } of segmenter.segment(text)) {
    const next = width + widthOf(segment);
    if (next > columns - 1) break;
    kept += segment;
    width = next;
  }
  return `${kept}${ELLIPSIS}`;
}

/** Exactly `columns` wide. */
export function fit(text: string, columns: number): string {
  const short = cut(text, columns);
  return short + ' '.repeat(Math.max(0, columns - widthOf(short)));
}

/** Broken at blanks into lines of at most `columns`; later ones begin with `indent`. */
export function wrap(text: string, columns: number, indent: string): string[] {
  const lines: string[] = [];
  let line = '';
  for (const word of text.split(' ')) {
    const longer = line === '' ? word : `${line} ${word}`;
    if (line.trim() === '' || widthOf(longer) <= columns) {
      line = longer;
      continue;
    }
    lines.push(line);
    line = `${indent}${word}`;
  }
  return [...lines, line].map((each) => cut(each, columns));
}
