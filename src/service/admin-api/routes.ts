// All routes of the API.
import { accessRoutes } from './access-routes.ts';
import { agentRoutes } from './agent-routes.ts';
import { alertRoutes } from './alert-routes.ts';
import { browseRoutes } from './browse-routes.ts';
import type { ApiContext } from './context.ts';
import { documentRoutes } from './document-routes.ts';
import { eventRoutes } from './event-routes.ts';
import { groupRoutes } from './group-routes.ts';
import { measureRoutes } from './measure-routes.ts';
import { nodeRoutes } from './node-routes.ts';
import { rewindRoutes } from './rewind-routes.ts';
import { roleRoutes } from './role-routes.ts';
import type { AnyRoute } from './route.ts';
import { salvageRoutes } from './salvage-routes.ts';
import { streamRoutes } from './stream-routes.ts';
import { leaveRoutes } from './leave-routes.ts';
import { upgradeRoutes } from './upgrade-routes.ts';

/** Every route that the API has; to be made once for a context. */
export function allRoutes(context: ApiContext): AnyRoute[] {
  const routes: AnyRoute[] = [
    ...nodeRoutes(context),
    ...groupRoutes(context),
    ...agentRoutes(context),
    ...roleRoutes(context),
    ...rewindRoutes(context),
    ...salvageRoutes(context),
    ...eventRoutes(context),
    ...alertRoutes(context),
    ...browseRoutes(context),
    ...accessRoutes(context),
    ...measureRoutes(context),
    ...streamRoutes(context),
    ...upgradeRoutes(context),
    ...leaveRoutes(context),
    // Of these very ones: routes listen to what happens on the node, and nobody takes them down again.
    ...documentRoutes(context, () => routes),
  ];
  return routes;
}
