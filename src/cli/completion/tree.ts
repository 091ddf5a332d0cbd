// What can be completed, taken from commander's own tree: a command that is added is completed without a word here.
// Names of groups and nodes are asked for while somebody types (names-main.ts); everything else is in the scripts.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Argument, Command, Option } from 'commander';

/** What a value is. */
export type ValueKind =
  | { readonly kind: 'group' | 'node' | 'file' | 'directory' | 'none' }
  | { readonly kind: 'words'; readonly words: readonly string[] };

export interface CompletedOption {
  /** With its dashes. */
  readonly name: string;
  readonly description: string;
  /** Null: it takes no value. */
  readonly value: ValueKind | null;
}

export interface CompletedCommand {
  /** Words after the program's name: `group create`; empty for the program. */
  readonly path: string;
  readonly commands: readonly { readonly name: string; readonly description: string }[];
  readonly options: readonly CompletedOption[];
  readonly arguments: readonly ValueKind[];
}

/** By what is between the brackets, as in `--to <node>`. */
const KINDS: Readonly<Record<string, ValueKind>> = {
  group: { kind: 'group' },
  node: { kind: 'node' },
  yaml: { kind: 'file' },
  path: { kind: 'directory' },
  dir: { kind: 'directory' },
};

/** The program and all its commands, each before those below it. */
export function completedCommands(program: Command): CompletedCommand[] {
  return commandsFrom(program, []);
}

function commandsFrom(command: Command, path: readonly string[]): CompletedCommand[] {
  const below = command.commands.toSorted((a, b) => (a.name() < b.name() ? -1 : 1));
  return [
    {
      path: path.join(' '),
      commands: below.map((each) => ({ name: each.name(), description: each.description() })),
      options: [...command.options.filter(({ hidden }) => !hidden).map(optionOf), HELP],
      arguments: command.registeredArguments.map(argumentKind),
    },
    ...below.flatMap((each) => commandsFrom(each, [...path, each.name()])),
  ];
}

const HELP: CompletedOption = { name: '--help', description: 'show what it does', value: null };

function optionOf({ long, flags, description, argChoices }: Option): CompletedOption {
  const placeholder = /[<[]([^>\]]+)[>\]]/.exec(flags)?.[1];
  const value = placeholder === undefined ? null : kindOf(placeholder, argChoices);
  return { name: long ?? flags, description, value };
}

function argumentKind(argument: Argument): ValueKind {
  return kindOf(argument.name(), argument.argChoices);
}

function kindOf(placeholder: string, choices: readonly string[] | undefined): ValueKind {
  if (choices !== undefined) return { kind: 'words', words: choices };
  return KINDS[placeholder] ?? { kind: 'none' };
}

/** In single quotes for a POSIX shell, zsh as well. */
export function quoted(text: string): string {
  return `'${text.replaceAll("'", String.raw`'\''`)}'`;
}

/** `file`, `group`, or `words a b`: how the scripts write a kind down. */
export function kindText(value: ValueKind): string {
  return value.kind === 'words' ? `words ${value.words.join(' ')}` : value.kind;
}

/** A part of a script that does not depend on the commands. */
export function scriptPart(name: string): string {
  return readFileSync(join(import.meta.dirname, 'scripts', name), 'utf8');
}
