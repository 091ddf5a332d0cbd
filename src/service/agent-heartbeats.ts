// Where applications report by themselves: HTTP on a Unix socket of the group,
//
//   curl --unix-socket /run/understudy/agents/shop.sock -d '{"state":"ok"}' http://localhost/heartbeat
//
// Small and bounded: whoever writes here is an application, not a friend.
import { chmodSync, chownSync, existsSync, readFileSync, rmSync } from 'node:fs';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { join } from 'node:path';
import { messageOf } from '../core/errors.ts';
import { describeFault } from '../core/strict-config.ts';
import { heartbeatSchema, keepHeartbeat } from '../agents/builtin/heartbeat.ts';

const BODY_BYTES_MAX = 16 * 1024;
const CONNECTIONS_MAX = 32;
const REQUEST_TIMEOUT_MS = 5000;

export interface HeartbeatTarget {
  /** Name of the agent in the group. */
  readonly name: string;
  readonly runtimeDirectory: string;
}

export class HeartbeatSocket {
  readonly #path: string;
  readonly #targets: readonly HeartbeatTarget[];
  readonly #server: Server;

  constructor(path: string, targets: readonly HeartbeatTarget[]) {
    this.#path = path;
    this.#targets = targets;
    this.#server = createServer({ requestTimeout: REQUEST_TIMEOUT_MS }, (request, response) => {
      this.#serve(request, response).catch((thrown: unknown) => {
        answer(response, 500, messageOf(thrown));
      });
    });
    // One that cannot be accepted is no reason to end.
    this.#server.on('error', () => undefined);
    this.#server.maxConnections = CONNECTIONS_MAX;
    this.#server.headersTimeout = REQUEST_TIMEOUT_MS;
  }

  /** Listens; `user` may write to the socket besides root. Rejects when that is impossible. */
  async listen(user: string | undefined): Promise<void> {
    rmSync(this.#path, { force: true });
    await new Promise<void>((resolve, reject) => {
      this.#server.once('error', reject);
      // Node binds within the call, so nothing else runs under this mask.
      const mask = process.umask(0o177);
      this.#server.listen(this.#path, resolve);
      process.umask(mask);
    });
    chmodSync(this.#path, 0o600);
    if (user === undefined) return;
    const [uid, gid] = idsOf(user);
    chownSync(this.#path, uid, gid);
    // The way to the socket: its name may be reached, nothing can be listed.
    for (const directory of [join(this.#path, '..'), join(this.#path, '../..')]) {
      chmodSync(directory, 0o711);
    }
  }

  close(): void {
    this.#server.close();
    this.#server.closeAllConnections();
    if (existsSync(this.#path)) rmSync(this.#path, { force: true });
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    if (request.method !== 'POST' || request.url !== '/heartbeat') {
      answer(response, 404, 'write POST /heartbeat');
      return;
    }
    const text = await bodyOf(request);
    if (text === undefined) {
      answer(response, 413, `a report has at most ${BODY_BYTES_MAX} bytes`);
      return;
    }
    const parsed = heartbeatSchema.safeParse(parseJson(text === '' ? '{}' : text));
    if (!parsed.success) {
      answer(response, 400, describeFault(heartbeatSchema, parsed.error));
      return;
    }
    const { agent } = parsed.data;
    const target = this.#targets.find(({ name }) => name === agent) ?? this.#only(agent);
    if (target === undefined) {
      const names = this.#targets.map(({ name }) => `"${name}"`).join(', ');
      answer(response, 404, `say which "agent" reports: ${names}`);
      return;
    }
    keepHeartbeat(target.runtimeDirectory, parsed.data);
    response.writeHead(204).end();
  }

  #only(agent: string | undefined): HeartbeatTarget | undefined {
    return agent === undefined && this.#targets.length === 1 ? this.#targets[0] : undefined;
  }
}

function answer(response: ServerResponse, status: number, sentence: string): void {
  if (response.headersSent) return;
  response.writeHead(status, { 'content-type': 'application/json', connection: 'close' });
  response.end(`${JSON.stringify({ error: sentence })}\n`);
}

/** Undefined for one that is too long. */
async function bodyOf(request: IncomingMessage): Promise<string | undefined> {
  const parts: Buffer[] = [];
  let bytes = 0;
  for await (const part of request as AsyncIterable<Buffer>) {
    bytes += part.length;
    if (bytes > BODY_BYTES_MAX) return undefined;
    parts.push(part);
  }
  return Buffer.concat(parts).toString('utf8');
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

/** From passwd(5). */
function idsOf(user: string): [number, number] {
  const lines = readFileSync('/etc/passwd', 'utf8').split('\n');
  const fields = lines.find((line) => line.startsWith(`${user}:`))?.split(':');
  if (fields === undefined) throw new Error(`there is no user "${user}" on this node`);
  return [Number(fields[2]), Number(fields[3])];
}
