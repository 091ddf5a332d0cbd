// Who calls: root on the Unix socket, the other node by its pinned certificate, everybody else by an access token.
//
// A console calls for its users: it names the user in `x-understudy-user`, and in `x-understudy-role` the role that the user
// has there. The role can only become less by that.
import { createHash } from 'node:crypto';
import type { Socket } from 'node:net';
import { TLSSocket } from 'node:tls';
import type { FastifyRequest } from 'fastify';
import { UnderstudyError } from '../../core/errors.ts';
import type { PeerStore } from '../peer-store.ts';
import { accessRoleSchema, type Caller, lowerRole } from './caller.ts';
import { FailureLimit } from './failure-limit.ts';
import type { TokenStore } from './tokens.ts';

const USER_PATTERN = /^[\x21-\x7e]{1,64}$/;
const FAILURES_MAX = 10;
const FAILURE_WINDOW_MS = 60_000;

export class Authentication {
  readonly #tokens: TokenStore;
  readonly #peers: PeerStore;
  readonly #failures = new FailureLimit({
    failuresMax: FAILURES_MAX,
    windowMs: FAILURE_WINDOW_MS,
  });
  readonly #local = new WeakSet<Socket>();

  constructor({ tokens, peers }: { tokens: TokenStore; peers: PeerStore }) {
    this.#tokens = tokens;
    this.#peers = peers;
  }

  /** What comes over this socket is from root of this node. */
  trust(socket: Socket): void {
    this.#local.add(socket);
  }

  isLocal(request: FastifyRequest): boolean {
    return this.#local.has(request.raw.socket);
  }

  /** Errors: LOGIN_NEEDED, LOGIN_TRIES_EXCEEDED, REQUEST_INVALID. */
  callerOf(request: FastifyRequest): Caller {
    const caller = this.#identify(request);
    const user = header(request, 'x-understudy-user');
    const role = header(request, 'x-understudy-role');
    if (user !== undefined && !USER_PATTERN.test(user)) throw badHeader('x-understudy-user');
    if (role === undefined) return { ...caller, user: user ?? null };
    const parsed = accessRoleSchema.safeParse(role);
    if (!parsed.success) throw badHeader('x-understudy-role');
    return { ...caller, user: user ?? null, role: lowerRole(caller.role, parsed.data) };
  }

  #identify(request: FastifyRequest): Caller {
    if (this.isLocal(request)) {
      return { kind: 'root', name: 'root', user: null, role: 'administrator', from: 'socket' };
    }
    const from = request.ip;
    const text = /^Bearer (\S{1,128})$/i.exec(header(request, 'authorization') ?? '')?.[1];
    if (text === undefined) return this.#peerCaller(request, from) ?? refuse();
    const token = this.#tokens.find(text);
    if (token !== undefined) {
      return { kind: 'token', name: token.name, user: null, role: token.role, from };
    }
    // Right tokens pass whatever else comes from their address: 256 bits are not found by trying.
    const now = performance.now();
    const isTooMany = this.#failures.waitMs(from, now) > 0;
    this.#failures.failed(from, now);
    if (!isTooMany) return refuse();
    throw new UnderstudyError(
      'LOGIN_TRIES_EXCEEDED',
      'too many wrong access tokens came from this address: wait a minute',
    );
  }

  /** The nodes of a pair trust each other with everything: each may overwrite what the other has. */
  #peerCaller(request: FastifyRequest, from: string): Caller | undefined {
    const { socket } = request.raw;
    const raw = socket instanceof TLSSocket ? socket.getPeerCertificate().raw : undefined;
    if (raw === undefined) return undefined;
    const peer = this.#peers.byFingerprint(createHash('sha256').update(raw).digest('hex'));
    if (peer === undefined) return undefined;
    return { kind: 'peer', name: peer.name, user: null, role: 'administrator', from };
  }
}

function header(request: FastifyRequest, name: string): string | undefined {
  const value = request.headers[name];
  return typeof value === 'string' ? value : undefined;
}

function badHeader(name: string): UnderstudyError {
  return new UnderstudyError('REQUEST_INVALID', `the header "${name}" has no permitted value`);
}

function refuse(): never {
  throw new UnderstudyError(
    'LOGIN_NEEDED',
    'this needs an access token: make one with "understudy token create" on the node, and send it as "Authorization: Bearer TOKEN"',
  );
}
