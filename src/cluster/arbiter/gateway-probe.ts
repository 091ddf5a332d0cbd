// "Does the gateway answer?", within 100 to 200 ms, ten times a second. In this process and not with
// ping(8) and arping(8): starting those takes longer than the answer may, most of all when the
// machine is overloaded, which is when it matters.
//
// Asked in two ways at once, and one answer is enough: ARP or neighbour discovery when the address is
// on a network of this node (a gateway may ignore ping, it cannot ignore these), and ICMP echo.
import { randomBytes } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { UnderstudyError } from '../../core/errors.ts';
import { formatMac, parseAddress, sameNetwork } from '../../linux/ip-address.ts';
import { type Link, listAddresses, listLinks } from '../../linux/netlink.ts';
import { arpRequest, parseArp } from '../wire/arp.ts';
import { EchoSocket } from '../wire/echo-socket.ts';
import { neighbourRequest, parseNeighbour } from '../wire/ndp.ts';
import { PacketSocket } from '../wire/packet-socket.ts';

export type GatewayMethod = 'any' | 'ping';

export interface GatewayAnswer {
  readonly reachable: boolean;
  readonly tookMs: number;
  /** What answered: for `doctor` and events. */
  readonly by: 'neighbour' | 'ping' | 'nothing';
}

const LOOK_MS_MAX = 16;
/** How long the interfaces' addresses are taken as known. */
const PLACE_MS = 5000;

interface Question {
  readonly token: Uint8Array;
  /** Also asked by ARP or neighbour discovery. */
  readonly near: boolean;
  by: GatewayAnswer['by'];
}

interface Neighbourhood {
  readonly link: Link;
  readonly ownIp: Uint8Array;
  readonly socket: PacketSocket;
}

export class GatewayProbe {
  readonly #ip: string;
  readonly #bytes: Uint8Array;
  readonly #method: GatewayMethod;
  readonly #isVirtual: (ip: string) => boolean;
  readonly #echo: EchoSocket;
  readonly #identifier = randomBytes(2).readUInt16BE(0);
  #sequence = 0;
  #questions: Question[] = [];
  #neighbourhood: Neighbourhood | undefined;
  #placedAtMs = -Infinity;
  #closed = false;

  /**
   * `ping`: only an echo counts, for networks in which switches answer ARP for others. `isVirtual`: an address that may be
   * on another node in the next moment.
   */
  constructor(
    ip: string,
    method: GatewayMethod = 'any',
    isVirtual: (ip: string) => boolean = () => false,
  ) {
    const bytes = parseAddress(ip);
    if (bytes === undefined) {
      throw new UnderstudyError(
        'GATEWAY_INVALID',
        `"${ip}" is not an IP address: write the gateway as an address, names need a server that may be down`,
      );
    }
    this.#ip = ip;
    this.#bytes = bytes;
    this.#method = method;
    this.#isVirtual = isVirtual;
    this.#echo = new EchoSocket(bytes.length === 4 ? 4 : 6);
  }

  /** One question, and what comes back within `timeoutMs`. Several may be under way. */
  async probe(timeoutMs: number): Promise<GatewayAnswer> {
    const start = performance.now();
    const question = this.#ask();
    for (let wait = 1; ; wait = Math.min(LOOK_MS_MAX, wait * 2)) {
      // The look comes before the clock: an answer that lies there counts, however late this thread is.
      this.#collect();
      const { by } = question;
      const tookMs = performance.now() - start;
      if (by !== 'nothing' || tookMs >= timeoutMs || this.#closed) {
        this.#questions = this.#questions.filter((one) => one !== question);
        return { reachable: by !== 'nothing', tookMs, by };
      }
      await sleep(Math.min(wait, Math.max(1, timeoutMs - tookMs)));
    }
  }

  /** Errors: GATEWAY_UNREACHABLE. For configuration time. */
  async check(timeoutMs = 1000): Promise<GatewayAnswer> {
    const answer = await this.probe(timeoutMs);
    if (answer.reachable) return answer;
    throw new UnderstudyError(
      'GATEWAY_UNREACHABLE',
      `the gateway ${this.#ip} does not answer this node${this.#method === 'ping' ? ' to ping' : ''}: a node that cannot reach it may not serve, so choose an address that both nodes reach`,
    );
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#echo.close();
    this.#neighbourhood?.socket.close();
    this.#neighbourhood = undefined;
  }

  #ask(): Question {
    const token = randomBytes(8);
    this.#sequence = (this.#sequence + 1) & 0xffff;
    const echo = { identifier: this.#identifier, sequence: this.#sequence, token };
    this.#echo.send(this.#bytes, echo);
    if (this.#method === 'any') this.#place();
    const near = this.#neighbourhood;
    if (near !== undefined) {
      const request = this.#bytes.length === 4 ? arpRequest : neighbourRequest;
      near.socket.send(request(near.link.mac, near.ownIp, this.#bytes));
    }
    const question: Question = { token, near: near !== undefined, by: 'nothing' };
    this.#questions.push(question);
    return question;
  }

  /** Gives what has arrived to the questions that it answers. */
  #collect(): void {
    if (this.#closed) return;
    for (const echo of this.#echo.receive()) {
      if (echo.identifier !== this.#identifier) continue;
      const asked = this.#questions.find(({ token }) => Buffer.compare(token, echo.token) === 0);
      if (asked !== undefined) asked.by = 'ping';
    }
    const near = this.#neighbourhood;
    if (near === undefined) return;
    const ownMac = formatMac(near.link.mac);
    for (const frame of near.socket.receive()) {
      if (!this.#answers(frame, ownMac)) continue;
      // These answers do not say to what: the oldest question that still waits is the careful choice.
      const asked = this.#questions.find((question) => question.near && question.by === 'nothing');
      if (asked !== undefined) asked.by = 'neighbour';
    }
  }

  #answers(frame: Buffer, ownMac: string): boolean {
    if (this.#bytes.length === 4) {
      const arp = parseArp(frame);
      if (arp?.operation !== 'reply' || formatMac(arp.senderMac) === ownMac) return false;
      return Buffer.compare(arp.senderIp, this.#bytes) === 0;
    }
    const neighbour = parseNeighbour(frame);
    if (neighbour?.type !== 'advertisement') return false;
    if (formatMac(neighbour.sourceMac) === ownMac) return false;
    return Buffer.compare(neighbour.target, this.#bytes) === 0;
  }

  /** Finds the gateway's network anew, now and then. Where the kernel refuses to show it, what was found last is kept. */
  #place(): void {
    if (performance.now() - this.#placedAtMs < PLACE_MS) return;
    try {
      const found = this.#findNeighbourhood();
      this.#neighbourhood?.socket.close();
      this.#neighbourhood = found;
      this.#placedAtMs = performance.now();
    } catch (thrown) {
      // No descriptor or memory for it, or the interface went away meanwhile: the next question tries again.
      if (!(thrown instanceof UnderstudyError)) throw thrown;
    }
  }

  /**
   * The interface on whose network the gateway is. A question says where its sender is, and whoever is asked believes it: from a
   * virtual address that has moved meanwhile, it would fetch that back. Without another one, only the echo is left.
   */
  #findNeighbourhood(): Neighbourhood | undefined {
    const links = listLinks();
    for (const { ip, prefix, index, tentative, deprecated } of listAddresses()) {
      if (tentative || deprecated || this.#isVirtual(ip)) continue;
      const ownIp = parseAddress(ip);
      const link = links.find((one) => one.index === index);
      if (ownIp === undefined || link === undefined) continue;
      if (link.mac.length !== 6 || link.loopback || !sameNetwork(ownIp, this.#bytes, prefix))
        continue;
      if (Buffer.compare(ownIp, this.#bytes) === 0) return undefined;
      const socket = new PacketSocket(link, ownIp.length === 4 ? 'arp' : 'neighbour');
      return { link, ownIp, socket };
    }
    return undefined;
  }
}
