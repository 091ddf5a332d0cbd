import type { AlertTiming } from '../../../service/alerts/alert-settings.ts';
import type { ShownChannel } from './channel-draft.ts';

/** As `GET /alerts` answers. */
export interface AlertsView {
  readonly timing: AlertTiming;
  readonly channels: readonly ShownChannel[];
}

export function alertsKey(node: string): readonly string[] {
  return ['alerts', node];
}
