// One virtual address: what it must be, and where it may be put. Checked when a group is created and
// again before each taking; interfaces and networks may have changed in between.
import { UnderstudyError } from '../../core/errors.ts';
import { formatAddress, parseAddress, sameNetwork } from '../../linux/ip-address.ts';
import { type InterfaceAddress, type Link, listAddresses, listLinks } from '../../linux/netlink.ts';

/** As in the group's definition. */
export interface VirtualAddress {
  readonly ip: string;
  readonly prefix: number;
  /** Any Ethernet-like interface: also a VLAN (`eth0.12`), a bond or a bridge. */
  readonly interface: string;
  /** Accept an address outside the networks of the interface. */
  readonly force?: boolean | undefined;
  /** Program that moves the address where ARP cannot (clouds). */
  readonly hook?: string | undefined;
}

/** A virtual address together with the interface that it is for, as it is now. */
export interface PlacedAddress {
  readonly address: VirtualAddress;
  readonly bytes: Uint8Array;
  readonly family: 4 | 6;
  readonly link: Link;
}

/** The machine's interfaces and addresses at one moment. */
export interface NetworkView {
  readonly links: readonly Link[];
  readonly addresses: readonly InterfaceAddress[];
}

export function currentNetwork(): NetworkView {
  return { links: listLinks(), addresses: listAddresses() };
}

/** `192.0.2.10/24` → its parts. Errors: ADDRESS_INVALID. */
export function parseAddressWithPrefix(text: string): { ip: string; prefix: number } {
  const [ip = '', digits = '', ...rest] = text.split('/');
  const bytes = parseAddress(ip);
  const prefix = /^\d{1,3}$/.test(digits) ? Number(digits) : Number.NaN;
  if (bytes === undefined || rest.length > 0 || !(prefix <= bytes.length * 8) || prefix < 1) {
    throw new UnderstudyError(
      'ADDRESS_INVALID',
      `"${text}" is not an address with its network: write for example "192.0.2.10/24" or "2001:db8::10/64"`,
    );
  }
  const fault = unusable(bytes, prefix);
  if (fault === undefined) return { ip: formatAddress(bytes), prefix };
  throw new UnderstudyError('ADDRESS_INVALID', `${text} ${fault}: choose another address`);
}

function unusable(bytes: Uint8Array, prefix: number): string | undefined {
  const [first = 0, second = 0] = bytes;
  if (bytes.every((byte) => byte === 0)) return 'is the unspecified address';
  if (bytes.length === 16) {
    if (first === 0xff) return 'is a multicast address';
    if (first === 0xfe && (second & 0xc0) === 0x80) return 'is a link-local address';
    return bytes.subarray(0, 15).every((byte) => byte === 0) ? 'is a loopback address' : undefined;
  }
  if (first === 127) return 'is a loopback address';
  if (first >= 224) return 'is a multicast or reserved address';
  if (prefix > 30) return undefined;
  const hostBits = 32 - prefix;
  const value = ((first << 24) | (second << 16) | ((bytes[2] ?? 0) << 8) | (bytes[3] ?? 0)) >>> 0;
  const host = value % 2 ** hostBits;
  if (host === 0) return 'is the address of its network';
  return host === 2 ** hostBits - 1 ? 'is the broadcast address of its network' : undefined;
}

/**
 * Checks the address against the machine. Errors: ADDRESS_INTERFACE_MISSING,
 * ADDRESS_INTERFACE_UNUSABLE, ADDRESS_OUTSIDE_NETWORK, ADDRESS_ON_OTHER_INTERFACE.
 */
export function placeAddress(address: VirtualAddress, network: NetworkView): PlacedAddress {
  const bytes = parseAddress(address.ip);
  if (bytes === undefined) {
    throw new UnderstudyError('ADDRESS_INVALID', `"${address.ip}" is not an IP address`);
  }
  const link = network.links.find(({ name }) => name === address.interface);
  if (link === undefined) {
    const names = network.links.filter((one) => !one.loopback).map((one) => one.name);
    throw new UnderstudyError(
      'ADDRESS_INTERFACE_MISSING',
      `${address.ip}: this node has no interface "${address.interface}" (it has ${names.join(', ') || 'none'})`,
    );
  }
  if (link.mac.length !== 6 || link.loopback) {
    throw new UnderstudyError(
      'ADDRESS_INTERFACE_UNUSABLE',
      `${address.ip}: "${link.name}" is not an Ethernet interface, an address cannot move over it: choose another interface`,
    );
  }
  checkNetwork(address, bytes, { link, network });
  return { address, bytes, family: bytes.length === 4 ? 4 : 6, link };
}

function checkNetwork(
  address: VirtualAddress,
  bytes: Uint8Array,
  options: { link: Link; network: NetworkView },
): void {
  const { link, network } = options;
  const elsewhere = network.addresses.find(
    (one) => one.ip === address.ip && one.index !== link.index,
  );
  if (elsewhere !== undefined) {
    const name = network.links.find(({ index }) => index === elsewhere.index)?.name ?? '?';
    throw new UnderstudyError(
      'ADDRESS_ON_OTHER_INTERFACE',
      `${address.ip} is already an address of this node's interface "${name}": choose an address that belongs to no server`,
    );
  }
  if (address.force === true) return;
  const others = network.addresses.filter(
    (one) => one.index === link.index && one.ip !== address.ip,
  );
  const inside = others.some((one) => {
    const base = parseAddress(one.ip);
    // A shorter prefix than the interface's would make other networks look local.
    if (base === undefined || address.prefix < one.prefix) return false;
    return sameNetwork(base, bytes, one.prefix);
  });
  if (inside) return;
  const networks = others.map((one) => `${one.ip}/${one.prefix}`).join(', ');
  throw new UnderstudyError(
    'ADDRESS_OUTSIDE_NETWORK',
    `${address.ip}/${address.prefix} is outside the networks of "${link.name}" (${networks || 'it has no address'}): correct the address or the prefix, or set "force: true" on it`,
  );
}
