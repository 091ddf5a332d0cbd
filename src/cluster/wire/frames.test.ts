import { expect, test } from 'vitest';
import { parseAddress } from '../../linux/ip-address.ts';
import { arpAnnouncement, arpProbe, parseArp } from './arp.ts';
import {
  neighbourAnnouncement,
  neighbourProbe,
  parseNeighbour,
  solicitedNodeGroup,
} from './ndp.ts';

const mac = Uint8Array.of(0x02, 0, 0, 0, 0, 0x0a);
const ip = Uint8Array.of(192, 0, 2, 10);
const ip6 = parseAddress('2001:db8::10') ?? new Uint8Array();

test('an ARP probe claims nothing (RFC 5227, 2.1.1)', () => {
  expect(arpProbe(mac, ip).toString('hex')).toBe(
    'ffffffffffff02000000000a0806' + // to everybody
      '0001080006040001' + // request
      '02000000000a00000000' + // from nobody's address
      '000000000000c000020a',
  );
});

test('ARP announcements: the address as sender and target, as request and as reply', () => {
  const [request, reply] = arpAnnouncement(mac, ip).map(parseArp);
  expect(request).toMatchObject({ operation: 'request', senderMac: mac, senderIp: ip });
  expect(reply).toMatchObject({ operation: 'reply', senderIp: ip, targetIp: ip });
});

test('a neighbour probe with its checksum', () => {
  // Checksum calculated by hand from RFC 8200, 8.1.
  expect(neighbourProbe(mac, ip6).toString('hex')).toBe(
    '3333ff00001002000000000a86dd' +
      '6000000000183aff' +
      '00000000000000000000000000000000' +
      'ff0200000000000000000001ff000010' +
      '87004ccf00000000' +
      '20010db8000000000000000000000010',
  );
});

test('a neighbour announcement overrides caches and is read back', () => {
  const frame = neighbourAnnouncement(mac, ip6);
  expect(frame.readUInt8(58)).toBe(0x20);
  expect(parseNeighbour(frame)).toEqual({
    type: 'advertisement',
    sourceMac: mac,
    sourceIp: ip6,
    target: ip6,
  });
  expect(Buffer.from(solicitedNodeGroup(ip6)).toString('hex')).toBe(
    'ff0200000000000000000001ff000010',
  );
});

test('damaged frames are nothing', () => {
  const arp = arpProbe(mac, ip);
  const neighbour = neighbourAnnouncement(mac, ip6);
  for (let length = 0; length < arp.length; length += 1) {
    expect(parseArp(arp.subarray(0, length))).toBeUndefined();
  }
  for (let length = 0; length < neighbour.length; length += 1) {
    expect(parseNeighbour(neighbour.subarray(0, length))).toBeUndefined();
  }
  neighbour[85] = 0xff;
  expect(parseNeighbour(neighbour)).toBeUndefined();
});
