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
  ['heartbeat', { place: 'service', load: async () => (await import('./heartbeat.ts')).heartbeat }],
  // Their programs, files and systemctl are all that these use.
  [
    'supervised',
    { place: 'service', load: async () => (await import('./supervised.ts')).supervised },
  ],
  ['systemd', { place: 'service', load: async () => (await import('./systemd.ts')).systemd }],
  ['process', { place: 'service', load: async () => (await import('./process.ts')).processAgent }],
  // Databases, each with its driver.
  ['postgresql', { place: 'host', load: async () => (await import('./postgresql.ts')).postgresql }],
  ['mysql', { place: 'host', load: async () => (await import('./mysql.ts')).mysql }],
  ['redis', { place: 'host', load: async () => (await import('./redis.ts')).redis }],
  ['oracle', { place: 'host', load: async () => (await import('./oracle.ts')).oracle }],
  ['sqlserver', { place: 'host', load: async () => (await import('./sqlserver.ts')).sqlserver }],
  ['sybase', { place: 'host', load: async () => (await import('./sybase.ts')).sybase }],
  ['exchange', { place: 'host', load: async () => (await import('./exchange.ts')).exchange }],
  ['mail', { place: 'host', load: async () => (await import('./mail.ts')).mail }],
  ['http', { place: 'host', load: async () => (await import('./http.ts')).http }],
  ['tcp', { place: 'host', load: async () => (await import('./tcp.ts')).tcp }],
  ['disk', { place: 'host', load: async () => (await import('./disk.ts')).disk }],
  ['ocf', { place: 'host', load: async () => (await import('../ocf/ocf-agent.ts')).ocf }],
]);
