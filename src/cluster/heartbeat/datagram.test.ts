import { createHmac, generateKeyPairSync } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { BEAT_BYTES, decodeBeat, encodeBeat } from './beat-codec.ts';
import { DATAGRAM_BYTES, decodeDatagram, encodeDatagram } from './datagram.ts';
import { A, B, datagram, fullBeat, plainBeat, testKey } from './fixtures/beats.ts';
import { deriveKeys } from './keys.ts';

const key = testKey('a to b');

const golden = (name: string): string =>
  readFileSync(join(import.meta.dirname, 'fixtures', name), 'utf8').replaceAll(/\s/g, '');

test.each([
  ['datagram-v2-full.hex', datagram({ beat: fullBeat })],
  ['datagram-v2-plain.hex', datagram()],
])('%s: bytes of version 2 do not change', (file, value) => {
  const bytes = encodeDatagram(value, key);
  expect(bytes.length).toBe(DATAGRAM_BYTES);
  expect(bytes.toString('hex')).toBe(golden(file));
  expect(decodeDatagram(Buffer.from(golden(file), 'hex'), key)).toEqual(value);
});

test('every part of a heartbeat comes back, alone and together', () => {
  const bytes = Buffer.alloc(BEAT_BYTES);
  const parts = ['alone', 'aloneSeen', 'grant', 'offer', 'declined', 'demand'] as const;
  for (const part of parts) {
    const beat = { ...plainBeat, [part]: fullBeat[part] };
    encodeBeat(beat, bytes, 0);
    expect(decodeBeat(bytes, 0)).toEqual(beat);
  }
  for (const flag of ['stale', 'fresh', 'asks', 'leaving'] as const) {
    const beat = { ...plainBeat, [flag]: true };
    encodeBeat(beat, bytes, 0);
    expect(decodeBeat(bytes, 0)).toEqual(beat);
  }
});

test('one flipped bit anywhere is refused', () => {
  const bytes = encodeDatagram(datagram({ beat: fullBeat }), key);
  for (let bit = 0; bit < bytes.length * 8; bit += 1) {
    const at = bit >> 3;
    bytes[at] = (bytes[at] ?? 0) ^ (1 << (bit & 7));
    expect(typeof decodeDatagram(bytes, key), `bit ${bit}`).toBe('string');
    bytes[at] = (bytes[at] ?? 0) ^ (1 << (bit & 7));
  }
});

test('other lengths, versions and keys are refused by name', () => {
  const bytes = encodeDatagram(datagram(), key);
  expect(decodeDatagram(bytes.subarray(1), key)).toBe('length');
  expect(decodeDatagram(Buffer.concat([bytes, bytes]), key)).toBe('length');
  expect(decodeDatagram(Buffer.alloc(DATAGRAM_BYTES), key)).toBe('magic');
  expect(decodeDatagram(bytes, testKey('b to a'))).toBe('forged');
  bytes[4] = 1;
  expect(decodeDatagram(bytes, key)).toBe('version');
});

test('authentic nonsense is refused too', () => {
  const bytes = encodeDatagram(datagram(), key);
  const resign = (): void => {
    createHmac('sha256', key)
      .update(bytes.subarray(0, -32))
      .digest()
      .copy(bytes, DATAGRAM_BYTES - 32);
  };
  // A life of 2^64 - 1, a role that does not exist, a time that is not a number.
  bytes.fill(255, 32, 40);
  resign();
  expect(decodeDatagram(bytes, key)).toBe('content');
  bytes.fill(0, 32, 40);
  bytes[89] = 9;
  resign();
  expect(decodeDatagram(bytes, key)).toBe('content');
  bytes[89] = 0;
  bytes.writeDoubleBE(Number.NaN, 48);
  resign();
  expect(decodeDatagram(bytes, key)).toBe('content');
});

async function selfSigned(): Promise<{ key: string; certificate: string }> {
  await import('reflect-metadata');
  const { X509CertificateGenerator } = await import('@peculiar/x509');
  const algorithm = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' };
  const keys = await crypto.subtle.generateKey(algorithm, true, ['sign', 'verify']);
  const certificate = await X509CertificateGenerator.createSelfSigned({
    name: 'CN=test',
    signingAlgorithm: algorithm,
    keys,
  });
  const pkcs8 = Buffer.from(await crypto.subtle.exportKey('pkcs8', keys.privateKey));
  return {
    key: `-----BEGIN PRIVATE KEY-----\n${pkcs8.toString('base64')}\n-----END PRIVATE KEY-----\n`,
    certificate: certificate.toString('pem'),
  };
}

test('both nodes derive the same keys, one for each direction', async () => {
  const [a, b, c] = [await selfSigned(), await selfSigned(), await selfSigned()];
  const ofA = deriveKeys({ ownId: A, ownKey: a.key, peerId: B, peerCertificate: b.certificate });
  const ofB = deriveKeys({ ownId: B, ownKey: b.key, peerId: A, peerCertificate: a.certificate });
  const ofC = deriveKeys({ ownId: B, ownKey: c.key, peerId: A, peerCertificate: a.certificate });
  expect(ofA.send).toEqual(ofB.receive);
  expect(ofA.receive).toEqual(ofB.send);
  expect(ofA.send).not.toEqual(ofA.receive);
  expect(ofC.send).not.toEqual(ofB.send);
  const rsa = generateKeyPairSync('rsa', { modulusLength: 1024 }).privateKey;
  const ownKey = rsa.export({ type: 'pkcs8', format: 'pem' }).toString();
  expect(() => deriveKeys({ ownId: A, ownKey, peerId: B, peerCertificate: b.certificate })).toThrow(
    expect.objectContaining({ code: 'HEARTBEAT_KEY_INVALID' }),
  );
});
