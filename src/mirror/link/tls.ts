// TLS of the link: 1.3 only, both sides show a certificate, and the only one accepted is the
// pinned one. Names, issuers and validity dates do not count; the pairing decided.
import { createHash, timingSafeEqual, X509Certificate } from 'node:crypto';
import type { TLSSocket } from 'node:tls';

export interface LinkIdentity {
  /** PEM. */
  readonly certificate: string;
  /** PEM, PKCS #8. */
  readonly key: string;
}

/** Fewer bytes and cycles than AES-256; both ends are ours. */
const CIPHERS = 'TLS_AES_128_GCM_SHA256:TLS_CHACHA20_POLY1305_SHA256:TLS_AES_256_GCM_SHA384';

/** Options that both ends share. */
export function tlsOptions(identity: LinkIdentity): {
  readonly cert: string;
  readonly key: string;
  readonly minVersion: 'TLSv1.3';
  readonly ciphers: string;
  readonly rejectUnauthorized: false;
} {
  return {
    cert: identity.certificate,
    key: identity.key,
    minVersion: 'TLSv1.3',
    ciphers: CIPHERS,
    // isPinned() decides instead: the certificates are self-signed.
    rejectUnauthorized: false,
  };
}

/** SHA-256 of a certificate's DER. */
export function fingerprintOf(certificatePem: string): Buffer {
  return createHash('sha256').update(new X509Certificate(certificatePem).raw).digest();
}

/** Whether the peer of an established connection has proven to be the pinned one. */
export function isPinned(socket: TLSSocket, fingerprint: Buffer): boolean {
  const certificate = socket.getPeerX509Certificate();
  if (certificate === undefined) return false;
  const found = createHash('sha256').update(certificate.raw).digest();
  return timingSafeEqual(found, fingerprint);
}
