// The identity of a node: an EC P-256 key and a self-signed certificate. Nodes trust certificates
// that they pinned while pairing, never an authority, a name or a date: clocks may be wrong.
import { createHash, createPrivateKey, X509Certificate } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { nodeId, type NodeId } from '../core/ids.ts';
import { UnderstudyError } from '../core/errors.ts';
import { replaceFile } from '../journal/replace-file.ts';
import { makePrivateDirectory } from './durable-file.ts';
import type { ServicePaths } from './service-paths.ts';

const VALID_YEARS = 100;
const CERTIFICATE_NAME = 'understudy';

export interface Identity {
  readonly id: NodeId;
  /** PEM. */
  readonly certificate: string;
  /** PEM, PKCS 8. */
  readonly key: string;
  /** SHA-256 of the certificate's DER, in hex. */
  readonly fingerprint: string;
}

/** SHA-256 of the certificate's DER in hex: what is pinned. */
export function fingerprintOf(certificate: string | Buffer): string {
  return createHash('sha256').update(new X509Certificate(certificate).raw).digest('hex');
}

/** First 16 hex digits of the SHA-256 of the public key (SubjectPublicKeyInfo, DER). */
export function nodeIdOf(certificate: string | Buffer): NodeId {
  const spki = new X509Certificate(certificate).publicKey.export({ type: 'spki', format: 'der' });
  return nodeId(createHash('sha256').update(spki).digest('hex').slice(0, 16));
}

export function hasIdentity({ certificate, key }: ServicePaths): boolean {
  return existsSync(certificate) && existsSync(key);
}

/** Reads the identity. Errors: NOT_INITIALISED, IDENTITY_INVALID. */
export function readIdentity(paths: ServicePaths): Identity {
  if (!hasIdentity(paths)) {
    throw new UnderstudyError(
      'NOT_INITIALISED',
      `this node has no identity in ${paths.identity}: run "understudy init"`,
    );
  }
  const certificate = readFileSync(paths.certificate, 'utf8');
  const key = readFileSync(paths.key, 'utf8');
  try {
    if (!new X509Certificate(certificate).checkPrivateKey(createPrivateKey(key))) {
      throw new TypeError('key and certificate do not belong together');
    }
    const fingerprint = fingerprintOf(certificate);
    return { id: nodeIdOf(certificate), certificate, key, fingerprint };
  } catch (cause) {
    throw new UnderstudyError(
      'IDENTITY_INVALID',
      `the identity in ${paths.identity} cannot be used: restore both files, or remove them, run "understudy init" and pair again`,
      { cause },
    );
  }
}

/** Creates the identity unless there is one. Returns it. */
export async function createIdentity(paths: ServicePaths, name: string): Promise<Identity> {
  if (hasIdentity(paths)) return readIdentity(paths);
  makePrivateDirectory(paths.identity);
  const { certificate, key } = await generateCertificate(name);
  replaceFile(paths.key, key);
  replaceFile(paths.certificate, certificate);
  return readIdentity(paths);
}

/** A key and a certificate that is signed with it, both PEM. */
export async function generateCertificate(
  name: string,
): Promise<{ certificate: string; key: string }> {
  // Loaded here only: the library is large and needed once in the life of a node.
  await import('reflect-metadata');
  const { X509CertificateGenerator, SubjectAlternativeNameExtension, PemConverter } =
    await import('@peculiar/x509');
  const algorithm = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' };
  const keys = await crypto.subtle.generateKey(algorithm, true, ['sign', 'verify']);
  const certificate = await X509CertificateGenerator.createSelfSigned({
    serialNumber: Buffer.from(crypto.getRandomValues(new Uint8Array(8))).toString('hex'),
    name: `CN=understudy ${name}`,
    // Programs that are not told fingerprints (Prometheus) want a name that they can check: the same for all nodes.
    extensions: [new SubjectAlternativeNameExtension([{ type: 'dns', value: CERTIFICATE_NAME }])],
    // A day back, for the other node's clock.
    notBefore: new Date(Date.now() - 86_400_000),
    notAfter: new Date(Date.now() + VALID_YEARS * 365 * 86_400_000),
    signingAlgorithm: algorithm,
    keys,
  });
  const pkcs8 = await crypto.subtle.exportKey('pkcs8', keys.privateKey);
  return {
    certificate: `${certificate.toString('pem')}\n`,
    key: `${PemConverter.encode(pkcs8, 'PRIVATE KEY')}\n`,
  };
}
