// The cabling of a lab as text for ip(8), tc(8) and nft(8). Pure: nothing is executed here.
//
//   namespace "switch":   bridge lan ── a-lan  b-lan  client-lan  gateway-lan
//                         bridge sync ─ a-sync b-sync
//                                        │ veth
//   namespace of a host:                eth0 (lan)  eth1 (sync)
//
// Partitions are rules of the switch, by port: they hold for every kind of packet and address
// (also for virtual addresses and ARP), and they survive a reboot of the hosts.
import type { Cut, HostState, LabState, NetworkName } from './state.ts';

const SECOND_BYTE: Readonly<Record<NetworkName, number>> = { lan: 77, sync: 78 };
const INTERFACE: Readonly<Record<NetworkName, string>> = { lan: 'eth0', sync: 'eth1' };
export const GATEWAY_NUMBER = 254;

/** Address of host `number` in lab `index`; only ever used inside the lab's namespaces. */
export function addressOf(index: number, network: NetworkName, number: number): string {
  return `10.${SECOND_BYTE[network]}.${index}.${number}`;
}

/** Hardware addresses stay the same over reboots, as those of a real card. */
export function hardwareAddressOf(index: number, network: NetworkName, number: number): string {
  const bytes = [0x02, SECOND_BYTE[network], 0, index, 0, number];
  return bytes.map((byte) => byte.toString(16).padStart(2, '0')).join(':');
}

export function interfaceOf(network: NetworkName): string {
  return INTERFACE[network];
}

/** Name of the switch's port to a host (at most 15 characters). */
export function portOf(host: string, network: NetworkName): string {
  return `${host}-${network}`;
}

/** `ip -batch` lines that build the switch. */
export function switchBatch(networks: readonly NetworkName[]): string {
  return networks
    .flatMap((network) => [
      `link add ${network} type bridge stp_state 0 forward_delay 0 mcast_snooping 0`,
      `link set ${network} up`,
    ])
    .join('\n');
}

/** `ip -batch` lines, to be run in the switch, that cable a host whose init is `initPid`. */
export function cableBatch(state: LabState, host: HostState, initPid: number): string {
  return host.networks
    .flatMap((network) => {
      const port = portOf(host.name, network);
      const address = hardwareAddressOf(state.index, network, host.number);
      const end = host.unplugged.includes(network) ? 'down' : 'up';
      return [
        `link add ${port} type veth peer name ${INTERFACE[network]} address ${address} netns ${initPid}`,
        `link set ${port} addrgenmode none`,
        `link set ${port} master ${network} ${end}`,
      ];
    })
    .join('\n');
}

/** `ip -batch` lines, to be run in the host, that configure its side. */
export function hostBatch(state: LabState, host: HostState): string {
  const lines = ['link set lo up'];
  for (const network of host.networks) {
    const device = INTERFACE[network];
    // No IPv6 link-local addresses: their duplicate detection only adds noise to captures.
    lines.push(`link set ${device} addrgenmode none`);
    lines.push(`addr add ${addressOf(state.index, network, host.number)}/24 dev ${device}`);
    lines.push(`link set ${device} up`);
  }
  if (host.networks.includes('lan') && host.number !== GATEWAY_NUMBER) {
    lines.push(`route add default via ${addressOf(state.index, 'lan', GATEWAY_NUMBER)}`);
  }
  return lines.join('\n');
}

/** `ip -batch` lines that pull all cables of a host for good. */
export function uncableBatch(host: HostState): string {
  return host.networks.map((network) => `link del ${portOf(host.name, network)}`).join('\n');
}

/** `tc` arguments that limit one end of a cable to `rate`, or lift the limit. */
export function shapeArguments(device: string, rate: string | undefined): string[] {
  if (rate === undefined) return ['qdisc', 'del', 'dev', device, 'root'];
  const bucket = ['burst', '64kb', 'latency', '100ms'];
  return ['qdisc', 'replace', 'dev', device, 'root', 'tbf', 'rate', rate, ...bucket];
}

/** The whole rule set of the switch; replaces the one before in one step. */
export function switchRules(state: LabState): string {
  const rules = state.cuts.map((cut) => dropRule(cut));
  for (const host of Object.values(state.hosts)) {
    if (!host.silent) continue;
    for (const network of host.networks) {
      rules.push(`iifname "${portOf(host.name, network)}" drop`);
      rules.push(`oifname "${portOf(host.name, network)}" drop`);
    }
  }
  return [
    'table bridge lab',
    'delete table bridge lab',
    'table bridge lab {',
    '  chain forward {',
    '    type filter hook forward priority 0',
    ...rules.map((rule) => `    ${rule}`),
    '  }',
    '}',
    '',
  ].join('\n');
}

function dropRule(cut: Cut): string {
  const from = portOf(cut.from, cut.network);
  return `iifname "${from}" oifname "${portOf(cut.to, cut.network)}" drop`;
}

/** Contents of every host's /etc/hosts. */
export function hostsFile(state: LabState): string {
  const lines = ['127.0.0.1 localhost'];
  for (const host of Object.values(state.hosts)) {
    for (const network of host.networks) {
      const name = network === 'lan' ? `${host.name} ${host.name}-lan` : `${host.name}-${network}`;
      lines.push(`${addressOf(state.index, network, host.number)} ${name}`);
    }
  }
  return `${lines.join('\n')}\n`;
}
