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
  const onDamaged = (sentence: string): void => service.tellDamaged(sentence);
  return {
    service,
    operations: new Operations(),
    tokens: new TokenStore(paths.accessTokens, { clock: systemClock, onDamaged }),
    audit: new AuditLog(paths.audit),
    acknowledgements: new Acknowledgements(paths.acknowledged, onDamaged),
    health: new HealthWatch(service),
    history: new History(service),
    alerts: new Alerts(service),
  };
}

/** What an operation has changed on the other node is known when it ends, if that node answers. */
const AFTERMATH_MS = 1000;

export interface AuditedOperation {
  readonly kind: string;
  readonly group: string | null;
  readonly caller: Caller;
  readonly isCancellable?: boolean;
  readonly work: (handle: OperationHandle) => Promise<unknown>;
}

/** Starts an operation; how it ended is audited under the name of who started it. */
export function startOperation(context: ApiContext, options: AuditedOperation): OperationView {
  const { operations, audit, service } = context;
  const { kind, group, caller } = options;
  return operations.start({
    ...options,
    work: async (handle) => {
      try {
        return await options.work(handle);
      } finally {
        if (service.link.known.view !== undefined) await service.link.poll(AFTERMATH_MS);
      }
    },
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
