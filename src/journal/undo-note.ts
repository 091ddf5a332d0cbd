// What the undo log has to remember besides its segments, in one small file, replaced as a whole.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { replaceFile } from './replace-file.ts';

const schema = z.strictObject({
  version: z.literal(1),
  /** Boot and mounts that the copy was last changed under: nothing is lost while they stay. */
  mounts: z.string().max(16_384),
  /** State that the copy is being taken back to; null: it is not. */
  goingBackTo: z.int().min(0).nullable(),
});
export type UndoNote = Omit<z.infer<typeof schema>, 'version'>;

const FILE = 'note.json';

/** The note in the directory of an undo log; undefined when there is none that can be read. */
export function readUndoNote(directory: string): UndoNote | undefined {
  try {
    return schema.parse(JSON.parse(readFileSync(join(directory, FILE), 'utf8')));
  } catch {
    return undefined;
  }
}

/** Durable when it returns. Errors: STATE_IO. */
export function writeUndoNote(directory: string, { mounts, goingBackTo }: UndoNote): void {
  replaceFile(join(directory, FILE), `${JSON.stringify({ version: 1, mounts, goingBackTo })}\n`);
}
