// The agents that come with Understudy: name behind `use` → module, loaded when it is used. The service
// itself loads only those with `place: 'service'`, which do nothing but start programs and read files;
// the others, with the drivers they bring, live in the group's agent host.
import type { Agent } from '../agent.ts';

export interface Builtin {
  /** Where it runs. */
  readonly place: 'service' | 'host';
  load(): Promise<Agent>;
}

export const builtins: ReadonlyMap<string, Builtin> = new Map<string, Builtin>([
  ['command', { place: 'service', load: async () => (await import('./command.ts')).command }],
]);
