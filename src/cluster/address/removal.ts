// Takes virtual addresses off their interfaces, whoever put them there: this process, or one before it
// that was killed. Needs neither a program nor a file, and goes on after a fault.
import { messageOf } from '../../core/errors.ts';
import {
  addAddress,
  type InterfaceAddress,
  type Link,
  listAddresses,
  listLinks,
  removeAddress,
} from '../../linux/netlink.ts';
import type { VirtualAddress } from './virtual-address.ts';

/** Returns a sentence for each thing that failed. Texts of addresses must be canonical. */
export function removeAddresses(addresses: readonly VirtualAddress[]): string[] {
  const faults: string[] = [];
  const before = attempt(listAddresses, faults) ?? [];
  const links = attempt(listLinks, faults) ?? [];
  for (const address of addresses) {
    attempt(() => removeFromInterface(address, before, links), faults);
  }
  attempt(() => putBackOthers(addresses, before), faults);
  return faults;
}

/** Whether any of them is on its interface. Texts of addresses must be canonical. */
export function isAnyPresent(addresses: readonly VirtualAddress[]): boolean {
  const present = listAddresses();
  const links = listLinks();
  return addresses.some((address) => onItsInterface(address, present, links).length > 0);
}

function removeFromInterface(
  address: VirtualAddress,
  present: readonly InterfaceAddress[],
  links: readonly Link[],
): void {
  for (const { index, ip, prefix } of onItsInterface(address, present, links)) {
    removeAddress({ index, ip, prefix });
  }
}

/** Only on the interface it belongs to: the same address elsewhere was not put there by us. */
function onItsInterface(
  address: VirtualAddress,
  present: readonly InterfaceAddress[],
  links: readonly Link[],
): InterfaceAddress[] {
  const link = links.find(({ name }) => name === address.interface);
  return present.filter(({ index, ip }) => index === link?.index && ip === address.ip);
}

/**
 * Taking the first IPv4 address of a network off an interface makes the kernel drop the others of that
 * network with it, unless net.ipv4.conf.*.promote_secondaries is set.
 */
function putBackOthers(
  addresses: readonly VirtualAddress[],
  before: readonly InterfaceAddress[],
): void {
  const ours = new Set(addresses.map(({ ip }) => ip));
  const after = listAddresses();
  for (const { index, ip, prefix } of before) {
    const there = after.some((one) => one.index === index && one.ip === ip);
    if (!there && !ours.has(ip) && !ip.includes(':')) addAddress({ index, ip, prefix });
  }
}

function attempt<T>(action: () => T, faults: string[]): T | undefined {
  try {
    return action();
  } catch (thrown) {
    faults.push(messageOf(thrown));
    return undefined;
  }
}
