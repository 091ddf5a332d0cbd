// An alert as people read it. Plain text everywhere: names and reasons come from files and programs, and no robot is to take them for
// links or markup.
import { eventText } from '../event-text.ts';
import type { AlertBatch } from './alert-grouper.ts';

export interface AlertMessage {
  /** One line. */
  readonly subject: string;
  readonly text: string;
  readonly batch: AlertBatch;
  readonly node: string;
}

const SUBJECT_MAX = 120;
const MARKS = { info: 'INFO', warning: 'WARNING', error: 'ERROR' } as const;

export function alertMessage(node: string, batch: AlertBatch): AlertMessage {
  const { events, unshown, dropped } = batch;
  const worst = events.find(({ level }) => level === 'error') ?? events[0];
  const others = events.length + unshown - 1;
  const more = others > 0 ? ` (and ${others} more)` : '';
  const subject =
    oneLine(
      `Understudy ${node}: ${worst === undefined ? 'alert' : eventText(worst)}`,
      SUBJECT_MAX,
    ) + more;
  const lines = events.flatMap((event) => [
    `${MARKS[event.level]} ${event.at} ${event.code}`,
    oneLine(eventText(event), 1000),
    ...(event.more > 0 ? [`(${event.more} more of the same since it was told last)`] : []),
    '',
  ]);
  if (unshown > 0) lines.push(`… and ${unshown} more events`);
  if (dropped > 0) lines.push(`${dropped} events before were not told: too many messages an hour`);
  lines.push(`Node ${node}; all events: understudy events`);
  return { subject, text: lines.join('\n'), batch, node };
}

/** A message for the test button. */
export function testMessage(node: string, channel: string, at: string): AlertMessage {
  const event = {
    at,
    level: 'info' as const,
    code: 'ALERT_TEST',
    message: `this is a test of the channel "${channel}"; nothing is wrong`,
    details: {},
    more: 0,
  };
  return alertMessage(node, { events: [event], unshown: 0, dropped: 0 });
}

/** Cut to so many bytes of UTF-8, at a character. */
export function cutBytes(text: string, bytesMax: number): string {
  if (Buffer.byteLength(text) <= bytesMax) return text;
  const cut = Buffer.from(text).subarray(0, bytesMax - 3);
  return `${cut.toString('utf8').replace(/�+$/, '')}…`;
}

function oneLine(text: string, lengthMax: number): string {
  // eslint-disable-next-line no-control-regex
  const line = text.replaceAll(/[\x00-\x1f\x7f]+/g, ' ').trim();
  return line.length <= lengthMax ? line : `${line.slice(0, lengthMax - 1)}…`;
}
