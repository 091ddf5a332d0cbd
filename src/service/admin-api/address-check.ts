// Whether a virtual address is free, asked before a group is created.
import { UnderstudyError } from '../../core/errors.ts';
import { formatMac } from '../../linux/ip-address.ts';
import { PROBE_TIMING_DEFAULT, probeAddresses } from '../../cluster/address/duplicate-probe.ts';
import {
  currentNetwork,
  parseAddressWithPrefix,
  placeAddress,
} from '../../cluster/address/virtual-address.ts';

export interface AddressAnswer {
  readonly ip: string;
  readonly isFree: boolean;
  readonly occupant: {
    readonly kind: 'this-node' | 'other-machine';
    readonly mac: string | null;
  } | null;
}

/** Probes an address. Errors: ADDRESS_INVALID and others of {@link placeAddress}, SOCKET_REFUSED. */
export async function probeAddress(wish: {
  readonly ip: string;
  readonly interface: string;
}): Promise<AddressAnswer> {
  const { ip, prefix } = parseAddressWithPrefix(wish.ip);
  const network = currentNetwork();
  // An address of our own makes no network for itself, so it is looked for before the place is checked.
  const own = network.addresses.find((one) => one.ip === ip);
  if (own !== undefined) {
    const mac = network.links.find(({ index }) => index === own.index)?.mac;
    const shown = mac === undefined ? null : formatMac(mac);
    return { ip, isFree: false, occupant: { kind: 'this-node', mac: shown } };
  }
  const placed = placeOn({ ip, prefix, interface: wish.interface });
  const ownMacs = new Set(network.links.map(({ mac }) => formatMac(mac)));
  const [occupant] = await probeAddresses([placed], { timing: PROBE_TIMING_DEFAULT, ownMacs });
  if (occupant === undefined) return { ip, isFree: true, occupant: null };
  return { ip, isFree: false, occupant: { kind: 'other-machine', mac: occupant.mac } };
}

function placeOn(address: { ip: string; prefix: number; interface: string }) {
  const placed = placeAddress(address, currentNetwork());
  if (placed.link.up) return placed;
  throw new UnderstudyError(
    'ADDRESS_INTERFACE_UNUSABLE',
    `${address.ip}: interface "${address.interface}" is down: nobody can be asked over it`,
  );
}
