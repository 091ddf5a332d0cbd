// Short messages at the edge of the window, read out by screen readers.
import { notifications } from '@mantine/notifications';

export function notifyDone(message: string): void {
  notifications.show({ message, color: 'teal', autoClose: 6000 });
}

export function notifyFault(message: string): void {
  notifications.show({ message, color: 'red', autoClose: 15_000 });
}
