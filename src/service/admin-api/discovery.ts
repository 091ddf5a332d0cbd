// What discovery proposes on this node, looked for by a process of its own: it reads all of /proc, and brings the
// databases' drivers along.
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { z } from 'zod';
import { UnderstudyError } from '../../core/errors.ts';
import { once } from './once.ts';
import { shared } from './shared.ts';

const PROGRAM = join(import.meta.dirname, '../../agents/discovery/discover-main.ts');
const TIMEOUT_MS = 30_000;
const OUTPUT_BYTES_MAX = 1024 * 1024;

export const proposalsSchema = once(() =>
  z
    .array(
      z.object({
        title: z.string(),
        found: z.string().describe('One sentence: what was found, and where'),
        isRunning: z.boolean().describe('It has its files open, and has to be stopped first'),
        pid: z.number().nullable(),
        group: z
          .object({
            name: z.string(),
            paths: z.array(z.object({ dir: z.string(), exclude: z.array(z.string()).optional() })),
            agents: z.array(z.looseObject({ use: z.string() })),
          })
          .describe('As `POST /groups` takes it; addresses and failover are to be added'),
        notes: z.array(z.string()),
      }),
    )
    .max(500),
);
export type Proposals = z.infer<ReturnType<typeof proposalsSchema>>;

/** Errors: DISCOVERY_FAILED. */
export const proposals = shared(look);

async function look(): Promise<Proposals> {
  const options = {
    timeout: TIMEOUT_MS,
    maxBuffer: OUTPUT_BYTES_MAX,
    killSignal: 'SIGKILL',
  } as const;
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  execFile(process.execPath, [PROGRAM], options, (error, stdout, stderr) => {
    if (error === null) resolve(stdout);
    else reject(failure(stderr.trim().split('\n').at(-1) ?? error.message));
  });
  const parsed = proposalsSchema().safeParse(JSON.parse(await promise));
  if (parsed.success) return parsed.data;
  throw failure(parsed.error.message);
}

function failure(why: string): UnderstudyError {
  return new UnderstudyError(
    'DISCOVERY_FAILED',
    `this node could not be looked through for applications (${why}): choose directories and agents yourself`,
  );
}
