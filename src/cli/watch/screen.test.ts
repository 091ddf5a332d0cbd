// What a terminal shows of it: everything is written to one (xterm without a window), and read from there.
import xterm from '@xterm/headless';
import { expect, test } from 'vitest';
import { type Line, Screen } from './screen.ts';

class Bed {
  readonly terminal: InstanceType<typeof xterm.Terminal>;
  written = '';

  constructor(columns: number, rows: number) {
    this.terminal = new xterm.Terminal({ cols: columns, rows, allowProposedApi: true });
  }

  get columns(): number {
    return this.terminal.cols;
  }

  get rows(): number {
    return this.terminal.rows;
  }

  write(text: string): void {
    this.written += text;
    this.terminal.write(text);
  }

  /** What is on the screen, once all of it has arrived. */
  async lines(): Promise<string[]> {
    await new Promise<void>((resolve) => {
      this.terminal.write('', resolve);
    });
    const { active } = this.terminal.buffer;
    return Array.from(
      { length: this.rows },
      (_, row) => active.getLine(active.baseY + row)?.translateToString(true) ?? '',
    );
  }
}

const lines = (...texts: string[]): Line[] => texts.map((text) => [{ text }]);

test('what was on the terminal comes back, whatever was drawn', async () => {
  const bed = new Bed(20, 4);
  bed.write('$ understudy status\r\n');
  const screen = new Screen(bed, { color: true });
  screen.open();
  screen.draw(lines('one', 'two', 'three', 'four'));
  expect(bed.terminal.buffer.active.type).toBe('normal');
  expect(await bed.lines()).toEqual(['one', 'two', 'three', 'four']);
  expect(bed.terminal.buffer.active.type).toBe('alternate');
  screen.close();
  screen.close();
  screen.draw(lines('late'));
  expect(await bed.lines()).toEqual(['$ understudy status', '', '', '']);
  expect(bed.terminal.buffer.active.type).toBe('normal');
  // Once each: the cursor is seen again, and long lines are broken again.
  expect(bed.written.split('\u001b[?25h')).toHaveLength(2);
  expect(bed.written.split('\u001b[?7h')).toHaveLength(2);
});

test('only lines that have changed are written, and nothing is cleared before it is', async () => {
  const bed = new Bed(20, 4);
  const screen = new Screen(bed, { color: false });
  screen.open();
  screen.draw(lines('one', 'two', 'three'));
  bed.written = '';
  screen.draw(lines('one', 'two', 'three'));
  expect(bed.written).toBe('');
  screen.draw(lines('one', '2', 'three'));
  expect(bed.written).toBe('\u001b[?2026h\u001b[2;1H2\u001b[K\u001b[?2026l');
  screen.draw(lines('one'));
  expect(await bed.lines()).toEqual(['one', '', '', '']);
  expect(bed.written).not.toContain('\u001b[2J');
});

test('another size: everything is drawn anew, and nothing wraps or scrolls', async () => {
  const bed = new Bed(20, 4);
  const screen = new Screen(bed, { color: true });
  const long = (text: string): Line[] =>
    Array.from({ length: 9 }, (_, row) => [{ text: `${row} ${text.repeat(9)}` }]);
  screen.open();
  screen.draw(long('word '));
  bed.terminal.resize(9, 3);
  screen.draw(long('word '));
  expect(await bed.lines()).toEqual(['0 word w…', '1 word w…', '2 word w…']);
  bed.terminal.resize(30, 5);
  screen.draw(long('備'));
  expect((await bed.lines())[4]).toBe(`4 ${'備'.repeat(9)}`);
  screen.draw([[{ text: '備'.repeat(20), styles: ['red'] }, { text: 'more' }]]);
  expect((await bed.lines())[0]).toBe(`${'備'.repeat(14)}…`);
});

test('without colour only weight is used', () => {
  const bed = new Bed(20, 4);
  const screen = new Screen(bed, { color: false });
  screen.open();
  screen.draw([
    [
      { text: 'a', styles: ['red'] },
      { text: 'b', styles: ['bold', 'green'] },
    ],
  ]);
  expect(bed.written).toContain('a\u001b[1mb\u001b[0m');
  const colored = new Screen(bed, { color: true });
  colored.open();
  colored.draw([
    [
      { text: 'a', styles: ['red'] },
      { text: 'b', styles: ['bold', 'green'] },
    ],
  ]);
  expect(bed.written).toContain('\u001b[31ma\u001b[0m\u001b[1;32mb\u001b[0m');
});
