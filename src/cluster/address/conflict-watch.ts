// Somebody else claims an address that is held here (RFC 5227, 2.4; RFC 4862, 5.4.4). The rule kept:
// the address is defended at most once in ten seconds, so that two defenders do not flood the network,
// and it is announced once more when the other one has fallen silent, since caches may still point to it.
//
//   quiet ──claim──▶ contested (event "conflict", defend)
//   contested ──claims since the last defence, and that is 10 s ago──▶ contested (event "conflict", defend)
//   contested ──10 s without a claim──▶ quiet (event "over")
//
// One claim is enough to turn the caches of all others, so none stays unanswered because it came too early: until everybody may be
// told again, those are told that this node has spoken to lately, each alone ("claimed"). The other one does not hear that, and
// so has nothing to answer.

export const DEFEND_INTERVAL_MS = 10_000;
/** Shortest time between two tellings of each one alone. */
const TELL_INTERVAL_MS = 1000;

export type ConflictStep =
  | { readonly kind: 'conflict'; readonly mac: string; readonly claims: number }
  | { readonly kind: 'claimed'; readonly mac: string }
  | { readonly kind: 'over'; readonly mac: string };

export class ConflictWatch {
  #contested:
    | { mac: string; defendedAtMs: number; toldAtMs: number; claimedAtMs: number; claims: number }
    | undefined;

  /** To be called regularly, with the claims (hardware addresses) seen since the last call. */
  look(claims: readonly string[], nowMs: number): ConflictStep | undefined {
    const mac = claims.at(-1);
    const contested = this.#contested;
    if (contested === undefined) return mac === undefined ? undefined : this.#contest(mac, nowMs);
    if (mac !== undefined) {
      contested.mac = mac;
      contested.claimedAtMs = nowMs;
      contested.claims += claims.length;
    }
    const isAnswered = contested.claimedAtMs <= contested.defendedAtMs;
    if (!isAnswered && nowMs - contested.defendedAtMs >= DEFEND_INTERVAL_MS) {
      contested.defendedAtMs = nowMs;
      contested.toldAtMs = nowMs;
      return { kind: 'conflict', mac: contested.mac, claims: contested.claims };
    }
    const isTold = contested.claimedAtMs <= contested.toldAtMs;
    if (!isTold && nowMs - contested.toldAtMs >= TELL_INTERVAL_MS) {
      contested.toldAtMs = nowMs;
      return { kind: 'claimed', mac: contested.mac };
    }
    if (nowMs - contested.claimedAtMs < DEFEND_INTERVAL_MS) return undefined;
    this.#contested = undefined;
    return { kind: 'over', mac: contested.mac };
  }

  #contest(mac: string, nowMs: number): ConflictStep {
    this.#contested = {
      mac,
      defendedAtMs: nowMs,
      toldAtMs: nowMs,
      claimedAtMs: nowMs,
      claims: 1,
    };
    return { kind: 'conflict', mac, claims: 1 };
  }
}
