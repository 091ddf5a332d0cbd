// Short messages at the edge of the window, read out by screen readers.
import { notifications } from '@mantine/notifications';

export function notifyDone(message: string): void {
  notifications.show({ message, color: 'teal', autoClose: 6000 });
}

export function notifyFault(message: string): void {
  notifications.show({ message, color: 'red', autoClose: 15_000 });
}

/** Of something that was done, but not all of it. */
export function notifyWarnings(warnings: readonly string[]): void {
  for (const message of warnings) {
    notifications.show({ message, color: 'yellow', autoClose: 30_000 });
  }
}
