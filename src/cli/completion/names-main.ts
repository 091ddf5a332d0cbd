// Prints the names of groups or nodes, one per line, for a shell that completes them: a program of its own, because whoever presses
// Tab waits for it. Without the service, or with one that is slow to answer, it prints nothing.
import { get } from 'node:http';
import { servicePaths } from '../../service/service-paths.ts';

const PATIENCE_MS = 700;

interface Named {
  readonly name: string;
}

interface StatusNames {
  readonly node: Named;
  readonly peer: Named | null;
  readonly groups: readonly Named[];
}

const [what] = process.argv.slice(2);
// Whatever happens, the shell gets its line back.
setTimeout(() => process.exit(1), PATIENCE_MS).unref();
const { adminSocket: socketPath } = servicePaths(process.env);
const request = get({ socketPath, path: '/api/v1/status', agent: false }, (response) => {
  const chunks: Buffer[] = [];
  response.on('data', (chunk: Buffer) => chunks.push(chunk));
  response.on('error', quietly);
  response.on('end', () => {
    const { node, peer, groups } = JSON.parse(Buffer.concat(chunks).toString()) as StatusNames;
    const names = what === 'nodes' ? [node, ...(peer === null ? [] : [peer])] : groups;
    process.stdout.write(names.map(({ name }) => `${name}\n`).join(''));
  });
});
request.on('error', quietly);
process.on('uncaughtException', quietly);

function quietly(): void {
  process.exit(1);
}
