// The books over HTTP. 201 (or 200 for a repetition) is only said after COMMIT.
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { hostname } from 'node:os';
import { ACCOUNTS, type Ledger, type Transfer, type TransferOutcome } from './ledger.ts';

const BODY_BYTES_MAX = 4096;
/** Behind an address that moves, a client would not know who answered. */
const NODE_NAME = hostname();
const STATUS_OF: Readonly<Record<TransferOutcome['kind'], number>> = {
  done: 201,
  repeated: 200,
  conflict: 409,
  insufficient: 422,
};

interface Answer {
  readonly status: number;
  readonly body: unknown;
}

/** An HTTP server for `ledger`; not yet listening. */
export function createLedgerServer(ledger: Ledger): Server {
  const server = createServer((request, response) => {
    answer(ledger, request)
      .catch((failure: unknown): Answer => {
        // The outcome is unknown to the client, which repeats the request with the same id.
        const error = failure instanceof Error ? failure.message : String(failure);
        return { status: 503, body: { error } };
      })
      .then((result) => send(response, result))
      .catch(() => response.destroy());
  });
  server.requestTimeout = 10_000;
  return server;
}

function send(response: ServerResponse, { status, body }: Answer): void {
  response.writeHead(status, { 'content-type': 'application/json', 'x-served-by': NODE_NAME });
  response.end(`${JSON.stringify(body)}\n`);
}

async function answer(ledger: Ledger, request: IncomingMessage): Promise<Answer> {
  const path = (request.url ?? '/').split('?')[0] ?? '/';
  if (request.method === 'POST' && path === '/transfer') {
    const transfer = parseTransfer(await readBody(request));
    if (typeof transfer === 'string') return { status: 400, body: { error: transfer } };
    const { kind } = ledger.transfer(transfer, Date.now());
    return { status: STATUS_OF[kind], body: { id: transfer.id, outcome: kind } };
  }
  if (request.method !== 'GET') return { status: 405, body: { error: 'GET, or POST /transfer' } };
  const [, resource, argument] = path.split('/');
  if (resource === 'health') return { status: 200, body: { status: 'ok' } };
  if (resource === 'audit') return { status: 200, body: ledger.audit() };
  if (resource === 'transfers' && argument !== undefined) {
    const transfer = ledger.find(decodeURIComponent(argument));
    return transfer === undefined ? notFound('transfer') : { status: 200, body: transfer };
  }
  if (resource === 'balance' && argument !== undefined) {
    const balance = ledger.balance(Number(argument));
    return balance === undefined ? notFound('account') : { status: 200, body: { balance } };
  }
  return notFound('page');
}

function notFound(thing: string): Answer {
  return { status: 404, body: { error: `no such ${thing}` } };
}

async function readBody(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    if (bytes > BODY_BYTES_MAX) return '';
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString('utf8');
}

/** The transfer in a request, or what is wrong with it. */
export function parseTransfer(text: string): Transfer | string {
  let input: Partial<Record<keyof Transfer, unknown>> | null;
  try {
    input = JSON.parse(text) as Partial<Record<keyof Transfer, unknown>> | null;
  } catch {
    return 'the body is not JSON (or too long)';
  }
  if (typeof input !== 'object' || input === null) return 'the body is not an object';
  const { id, from, to, amount } = input;
  if (typeof id !== 'string' || !/^[\w.-]{1,64}$/.test(id)) {
    return 'id must be 1 to 64 letters, digits, ".", "_" or "-"';
  }
  if (!isAccount(from) || !isAccount(to)) return `from and to must be 1 to ${ACCOUNTS}`;
  if (from === to) return 'from and to are the same account';
  if (typeof amount !== 'number' || !Number.isSafeInteger(amount) || amount < 1) {
    return 'amount must be a positive whole number';
  }
  return { id, from, to, amount };
}

function isAccount(value: unknown): value is number {
  return typeof value === 'number' && Number.isInteger(value) && value >= 1 && value <= ACCOUNTS;
}
