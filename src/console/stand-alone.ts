// `understudy console`: a console of its own, on an administrator's machine, with nodes that were added to it.
import { existsSync } from 'node:fs';
import { createServer as createHttpServer, type Server } from 'node:http';
import { createServer as createHttpsServer } from 'node:https';
import { messageOf, UnderstudyError } from '../core/errors.ts';
import { replaceFile } from '../journal/replace-file.ts';
import { limitConnections } from '../service/connection-limit.ts';
import { makePrivateDirectory } from '../service/durable-file.ts';
import { fingerprintOf, generateCertificate } from '../service/identity.ts';
import { buildConsole, type Console } from './console-app.ts';
import { type ConsoleConfig, needsTls, readPem } from './console-config.ts';
import type { ConsolePaths } from './console-paths.ts';
import { ensureFirstUser, type GivenPassword } from './first-user.ts';

const CONNECTIONS_MAX = 512;
const REQUEST_TIMEOUT_MS = 15_000;
const HANDSHAKE_TIMEOUT_MS = 5000;

export interface StandAlone {
  readonly console: Console;
  readonly url: string;
  /** SHA-256 of the certificate, hex; null without TLS. */
  readonly fingerprint: string | null;
  /** Told once: of the administrator that was made at the first start. */
  readonly firstUser: GivenPassword | undefined;
  readonly close: () => Promise<void>;
}

export interface StandAloneOptions {
  readonly paths: ConsolePaths;
  readonly config: ConsoleConfig;
  readonly version: string;
  readonly webDirectory?: string;
}

/** Starts a console. Errors: API_PORT_UNAVAILABLE, FILE_UNREADABLE, STATE_FILE_INVALID. */
export async function startStandAlone(options: StandAloneOptions): Promise<StandAlone> {
  const { paths, config, version } = options;
  const isSecure = needsTls(config);
  makePrivateDirectory(paths.state);
  const tls = isSecure ? await certificateOf(paths, config) : undefined;
  const built = await buildConsole({
    paths,
    version,
    isSecure,
    issuer: 'Understudy',
    ownNodes: () => [],
    ...(options.webDirectory === undefined ? {} : { webDirectory: options.webDirectory }),
  });
  const limits = { requestTimeout: REQUEST_TIMEOUT_MS, headersTimeout: REQUEST_TIMEOUT_MS };
  const server =
    tls === undefined
      ? createHttpServer(limits, built.serve)
      : createHttpsServer({ ...limits, ...secure(tls) }, built.serve);
  // On the loopback address everybody may come by way of one proxy.
  if (isSecure) limitConnections(server, { guestsMax: CONNECTIONS_MAX });
  else server.maxConnections = CONNECTIONS_MAX;
  try {
    await listen(server, config);
  } catch (thrown) {
    // What it has begun would keep the process from ending.
    await built.close();
    throw thrown;
  }
  // Not before: the password is shown once, by a console that runs.
  const firstUser = await ensureFirstUser(built.context.users, built.context.hasher);
  const host = config.address.includes(':') ? `[${config.address}]` : config.address;
  return {
    console: built,
    url: `${isSecure ? 'https' : 'http'}://${host}:${config.port}/`,
    fingerprint: tls === undefined ? null : fingerprintOf(tls.certificate),
    firstUser,
    close: async () => {
      const closed = new Promise<void>((resolve) => {
        server.close(() => resolve());
      });
      server.closeAllConnections();
      await built.close();
      await closed;
    },
  };
}

function secure({ certificate, key }: { certificate: string; key: string }) {
  return { cert: certificate, key, handshakeTimeout: HANDSHAKE_TIMEOUT_MS };
}

async function listen(server: Server, { address, port }: ConsoleConfig): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  server.once('error', reject);
  server.listen(port, address, resolve);
  try {
    await promise;
  } catch (cause) {
    throw new UnderstudyError(
      'API_PORT_UNAVAILABLE',
      `cannot listen on ${address}:${port} (${messageOf(cause)}): correct "address" and "port" in console.yaml`,
      { cause },
    );
  }
  server.off('error', reject);
}

async function certificateOf(
  paths: ConsolePaths,
  { tls }: ConsoleConfig,
): Promise<{ certificate: string; key: string }> {
  if (tls !== undefined) return { certificate: readPem(tls.certificate), key: readPem(tls.key) };
  if (!existsSync(paths.certificate) || !existsSync(paths.key)) {
    const made = await generateCertificate('console');
    replaceFile(paths.key, made.key);
    replaceFile(paths.certificate, made.certificate);
  }
  return { certificate: readPem(paths.certificate), key: readPem(paths.key) };
}
