// An arbiter that does not answer shows in nothing while both nodes are well: each serves by the other's word. People are told
// before it is needed.
import { type Draft, seconds } from './draft.ts';

/** The gateway's restart, or an election among etcd's members, is told to nobody. */
const TOLD_AFTER_MS = 30_000;

const WHAT_TO_DO = {
  etcd: 'check its members and their quota, the endpoints, certificates and password',
  gateway: 'check that it is on, and that it still has the address that the group names',
};

export function noteArbiterAnswer(d: Draft): void {
  const { sinceMs, told } = d.s.arbiterSilence;
  if (sinceMs === null) return;
  d.s.arbiterSilence = { sinceMs: null, told: '' };
  if (told === '') return;
  const lasted = seconds(d.now - sinceMs);
  d.emit(
    'info',
    'ARBITER_ANSWERS',
    `${arbiterName(d)} answers ${d.s.config.self.name} again after ${lasted}`,
  );
}

/** A question that was sent at `sentAtMs` has no answer. */
export function noteArbiterSilence(d: Draft, sentAtMs: number, why: string): void {
  const { s } = d;
  const { told } = s.arbiterSilence;
  const sinceMs = s.arbiterSilence.sinceMs ?? sentAtMs;
  s.arbiterSilence = { sinceMs, told };
  // A machine that stood still has not asked.
  const silentMs = d.now - Math.max(sinceMs, s.awakeSinceMs);
  if (told !== '' || silentMs < TOLD_AFTER_MS) return;
  const { arbiter, self, peer } = s.config;
  const sentence =
    `${arbiterName(d)} has not answered ${self.name} for ${seconds(silentMs)}${why === '' ? '' : ` (${why})`}: ` +
    `if ${peer.name} fails while that lasts, ${self.name} does not serve; ${WHAT_TO_DO[arbiter === 'etcd' ? 'etcd' : 'gateway']}`;
  s.arbiterSilence = { sinceMs, told: sentence };
  d.emit('warning', 'ARBITER_SILENT', sentence);
}

function arbiterName({ s }: Draft): string {
  return s.config.arbiter === 'etcd' ? 'etcd' : 'the gateway';
}
