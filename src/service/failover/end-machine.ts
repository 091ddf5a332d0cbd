// The last resort: a node on which something cannot be ended, and that must not go on, ends itself.
import { setTimeout as sleep } from 'node:timers/promises';
import type { Logger } from '../../core/logger.ts';
import { errnoName } from '../../linux/constants.ts';
import { sys } from '../../linux/libc.ts';

/** linux/reboot.h: at once, without writing anything back. Ends only its own PID namespace. */
const RB_AUTOBOOT = 0x0123_4567;
/** For the log to reach its file, and the event the service. */
const LAST_WORDS_MS = 200;

/** `stop`: only says so; for nodes that must not restart by themselves. */
export async function endThisMachine(
  how: 'reboot' | 'stop',
  why: string,
  logger: Logger,
): Promise<void> {
  logger.error({ how, why }, 'this node ends itself');
  if (how === 'stop') return;
  await sleep(LAST_WORDS_MS);
  const result = sys.reboot(RB_AUTOBOOT);
  if (result < 0) logger.error({ error: errnoName(result) }, 'the machine cannot be restarted');
}
