import { expect, test } from 'vitest';
import { silentLogger } from '../core/logger.ts';
import type { Ack } from '../mirror/link/frame.ts';
import { type CommitWish, PrimaryCommits, type PrimaryCommitsOptions } from './primary-commits.ts';

/** A primary with a standby that has confirmed up to `durable`; points are answered when the test says so. */
class Subject {
  durable = 100;
  isConnected = true;
  waitMs = 0;
  isClosed = false;
  readonly wishes: CommitWish['state'][] = [];
  readonly events: string[] = [];
  readonly #points: ((sequence: number) => void)[] = [];
  readonly commits: PrimaryCommits;

  constructor({ mode, managed }: { mode: 'sync' | 'async'; managed: boolean }) {
    const options = {
      replication: { mode, syncTimeoutMs: 2000, onStandbyLoss: 'continue' },
      gate: {
        setClosed: (isClosed: boolean) => {
          this.isClosed = isClosed;
        },
        release: () => undefined,
        oldestWaitMs: () => this.waitMs,
      },
      sender: this.#sender(),
      askPoint: async () => new Promise<number>((resolve) => this.#points.push(resolve)),
      limit: () => null,
      onNote: () => undefined,
      onWish: ({ state }: CommitWish) => this.wishes.push(state),
      emit: (...event: string[]) => this.events.push(event.join(' ')),
      logger: silentLogger,
    };
    this.commits = new PrimaryCommits(options as unknown as PrimaryCommitsOptions);
    if (managed) this.commits.begin(1);
  }

  #sender(): object {
    const ack = (): Ack => ({
      receivedSequence: this.durable,
      durableSequence: this.durable,
      appliedSequence: this.durable,
      copy: 'up-to-date',
    });
    const state = (): string => (this.isConnected ? 'connected' : 'connecting');
    return {
      backlogBytes: 0,
      headSequence: 100,
      get acked() {
        return ack();
      },
      get link() {
        return { state: state() };
      },
    };
  }

  async answerPoint(sequence: number): Promise<void> {
    this.#points.shift()?.(sequence);
    await Promise.resolve();
    await Promise.resolve();
  }
}

test.each([true, false])(
  'commits that were let go are confirmed before anybody counts on the standby, managed: %s',
  async (managed) => {
    const subject = new Subject({ mode: 'sync', managed });
    subject.commits.apply();
    expect(subject.isClosed).toBe(true);
    expect(subject.commits.isStandbyComplete).toBe(false);
    // Captured before the gate was closed, and not there yet.
    await subject.answerPoint(105);
    expect(subject.commits.isStandbyComplete).toBe(false);
    expect(subject.wishes).toEqual([]);
    subject.durable = 105;
    subject.commits.apply();
    expect(subject.commits.isStandbyComplete).toBe(true);
    expect(subject.isClosed).toBe(true);
    expect(subject.wishes).toEqual(managed ? ['together'] : []);
  },
);

test('a standby that does not come that far lets commits go on as before', async () => {
  const subject = new Subject({ mode: 'sync', managed: true });
  subject.commits.allowAlone(1);
  expect(subject.isClosed).toBe(false);
  subject.commits.apply();
  expect(subject.isClosed).toBe(true);
  await subject.answerPoint(105);
  subject.waitMs = 2000;
  subject.commits.apply();
  expect(subject.isClosed).toBe(false);
  expect(subject.wishes).toEqual([]);
  // An answer to the question of that time is none to the next one.
  subject.waitMs = 0;
  subject.durable = 110;
  subject.commits.apply();
  expect(subject.commits.isStandbyComplete).toBe(false);
  await subject.answerPoint(111);
  expect(subject.commits.isStandbyComplete).toBe(false);
  subject.durable = 111;
  subject.commits.apply();
  expect(subject.wishes).toEqual(['together']);
});

test('in mode async nothing waits, and the machine is told all the same', async () => {
  const subject = new Subject({ mode: 'async', managed: true });
  subject.commits.apply();
  await subject.answerPoint(100);
  expect(subject.wishes).toEqual(['together']);
  expect(subject.isClosed).toBe(false);
});

test('a process that goes on for another one begins to join anew', () => {
  const subject = new Subject({ mode: 'sync', managed: false });
  subject.commits.apply();
  expect(subject.commits.note.state).toBe('alone');
});

test('a process that goes on in mode async does not tell that the standby is lost', () => {
  const subject = new Subject({ mode: 'async', managed: false });
  const before = { state: 'together', wasTogether: true, aloneAt: 0 } as const;
  subject.commits.resume({ ...before, wish: null, isAllowed: false });
  expect(subject.isClosed).toBe(false);
  subject.commits.apply();
  expect(subject.events).toEqual([]);
});
