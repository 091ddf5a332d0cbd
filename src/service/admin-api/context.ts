// What the routes of the API work with.
import { systemClock } from '../../core/clock.ts';
import { Alerts } from '../alerts/alerts.ts';
import { History } from '../history/history.ts';
import { HealthWatch } from '../node-health/node-health.ts';
import type { NodeService } from '../node-service.ts';
import { Acknowledgements } from './acknowledgements.ts';
import { AuditLog } from './audit.ts';
import { auditedCaller, type Caller } from './caller.ts';
import { type OperationHandle, Operations, type OperationView } from './operations.ts';
import { TokenStore } from './tokens.ts';

export interface ApiContext {
  readonly service: NodeService;
  readonly operations: Operations;
  readonly tokens: TokenStore;
  readonly audit: AuditLog;
  readonly acknowledgements: Acknowledgements;
  readonly health: HealthWatch;
  readonly history: History;
  readonly alerts: Alerts;
}

/** Errors: STATE_FILE_INVALID. */
export function makeContext(service: NodeService): ApiContext {
  const { paths } = service;
  return {
    service,
    operations: new Operations(),
    tokens: new TokenStore(paths.accessTokens, { clock: systemClock }),
    audit: new AuditLog(paths.audit),
    acknowledgements: new Acknowledgements(paths.acknowledged),
    health: new HealthWatch(service),
    history: new History(service),
    alerts: new Alerts(service),
  };
}

export interface AuditedOperation {
  readonly kind: string;
  readonly group: string | null;
  readonly caller: Caller;
  readonly isCancellable?: boolean;
  readonly work: (handle: OperationHandle) => Promise<unknown>;
}

/** Starts an operation; how it ended is audited under the name of who started it. */
export function startOperation(context: ApiContext, options: AuditedOperation): OperationView {
  const { operations, audit } = context;
  const { kind, group, caller } = options;
  return operations.start({
    ...options,
    onEnd: ({ id, state, error }) => {
      audit.add({
        ...auditedCaller(caller),
        what: group === null ? kind : `${kind} ${group}`,
        input: null,
        result: state === 'done' ? 'done' : (error?.code ?? 'INTERNAL'),
        operation: id,
      });
    },
  });
}
