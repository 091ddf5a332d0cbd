// Finds the applications of this node and proposes a group for each: what listens, what it writes, what is
// known of its kind; and data directories of databases that do not run. Nothing is changed or connected to.
import { listeningServers } from './listening.ts';
import { proposeDatabase, proposeIdleDatabases } from './databases.ts';
import { proposeProgram } from './programs.ts';
import { type Proposal, withUniqueNames } from './proposal.ts';

/** Databases first, then web servers and others; those that run before those that do not. */
export function discover(): Proposal[] {
  const servers = listeningServers();
  const databases = servers.flatMap((server) => proposeDatabase(server) ?? []);
  const programs = servers
    .filter((server) => proposeDatabase(server) === undefined)
    .flatMap((server) => proposeProgram(server) ?? []);
  const taken = new Set(databases.flatMap(({ group }) => group.paths.map(({ dir }) => dir)));
  return withUniqueNames([...databases, ...programs, ...proposeIdleDatabases(taken)]);
}
