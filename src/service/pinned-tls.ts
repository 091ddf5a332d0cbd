// TLS to an end that is known by its certificate alone. Certificates are self-signed, so trust comes from the pinned fingerprint, never
// from an authority, a name or a date.
import { createHash, timingSafeEqual } from 'node:crypto';
import { Agent as HttpsAgent } from 'node:https';
import { connect, type TLSSocket } from 'node:tls';
import type { Duplex } from 'node:stream';
import { UnderstudyError } from '../core/errors.ts';

const CONNECT_TIMEOUT_MS = 5000;

export interface PinnedTarget {
  /** For messages. */
  readonly name: string;
  readonly host: string;
  readonly port: number;
  /** SHA-256 of the certificate to expect, hex. */
  readonly fingerprint: string;
  /** Of the caller, PEM. */
  readonly identity?: { readonly certificate: string; readonly key: string };
  /** What to do where somebody else answers: a sentence without a full stop. */
  readonly wayOut: string;
}

/** An agent whose connections have compared the certificate before a byte of a request is written. */
export function pinnedAgent(
  target: PinnedTarget,
  options: ConstructorParameters<typeof HttpsAgent>[0],
): HttpsAgent {
  const agent = new HttpsAgent(options);
  agent.createConnection = (_options, done) => {
    void tell(connectPinned(target), done);
    return undefined;
  };
  return agent;
}

async function tell(
  connecting: Promise<TLSSocket>,
  done?: (error: Error | null, socket: Duplex) => void,
): Promise<void> {
  try {
    done?.(null, await connecting);
  } catch (thrown) {
    done?.(thrown as Error, undefined as unknown as Duplex);
  }
}

/** Errors: NODE_IDENTITY_WRONG, and those of the connection. */
export async function connectPinned(target: PinnedTarget): Promise<TLSSocket> {
  const socket = await connectTls(target);
  const actual = Buffer.from(shownTo(socket), 'hex');
  if (timingSafeEqual(actual, Buffer.from(target.fingerprint, 'hex'))) return socket;
  socket.destroy();
  throw new UnderstudyError(
    'NODE_IDENTITY_WRONG',
    `who answers on ${target.host}:${target.port} is not node "${target.name}": its certificate is another one. Nothing was sent. ${target.wayOut}`,
    { details: { node: target.name } },
  );
}

/** SHA-256 of the certificate that the other end has shown, hex. */
export function shownTo(socket: TLSSocket): string {
  const raw = socket.getPeerCertificate().raw as Buffer | undefined;
  return createHash('sha256')
    .update(raw ?? '')
    .digest('hex');
}

/** Connects to whoever is there. Errors: those of the connection. */
export async function connectTls(
  target: Pick<PinnedTarget, 'host' | 'port' | 'identity'>,
): Promise<TLSSocket> {
  const { promise, resolve, reject } = Promise.withResolvers<TLSSocket>();
  const { identity } = target;
  const socket = connect({
    host: target.host,
    port: target.port,
    minVersion: 'TLSv1.3',
    // Trust comes from the pinned certificate, not from an authority.
    rejectUnauthorized: false,
    ...(identity === undefined ? {} : { cert: identity.certificate, key: identity.key }),
  });
  const timer = setTimeout(
    () => socket.destroy(new Error('no answer in time')),
    CONNECT_TIMEOUT_MS,
  );
  socket.once('error', reject);
  socket.once('close', () => {
    clearTimeout(timer);
    reject(new Error('the connection was closed'));
  });
  socket.once('secureConnect', () => {
    clearTimeout(timer);
    socket.off('error', reject);
    resolve(socket);
  });
  return promise;
}
