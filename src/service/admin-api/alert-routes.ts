// Where alerts go. Secrets are taken, never shown.
import { z } from 'zod';
import { alertTimingSchema, channelInputSchema, channelView } from '../alerts/alert-settings.ts';
import { once } from './once.ts';
import type { ApiContext } from './context.ts';
import { type AnyRoute, route } from './route.ts';

const tag = 'alerts';
const role = 'administrator';
const params = z.strictObject({ id: z.string().max(16) });
const viewSchema = once(() =>
  z.looseObject({
    id: z.string(),
    kind: z.enum(['email', 'webhook', 'wecom', 'dingtalk', 'feishu']),
    name: z.string(),
    enabled: z.boolean(),
    level: z.enum(['warning', 'error']),
    hasPassword: z.boolean(),
    hasSecret: z.boolean(),
  }),
);
type View = z.infer<ReturnType<typeof viewSchema>>;

export function alertRoutes(context: ApiContext): AnyRoute[] {
  return [...settingRoutes(context), ...channelRoutes(context), testRoute(context)];
}

const reply = () => z.object({ timing: alertTimingSchema, channels: z.array(viewSchema()) });

function settingRoutes({ alerts: { settings } }: ApiContext): AnyRoute[] {
  const view = () => ({
    timing: settings.timing,
    channels: settings.channels.map((one) => channelView(one) as View),
  });
  return [
    route({
      method: 'GET',
      path: '/alerts',
      role: 'viewer',
      tag,
      summary: 'Alert channels without their secrets, and how often they are used.',
      reply,
      handle: view,
    }),
    route({
      method: 'PUT',
      path: '/alerts/timing',
      role,
      tag,
      summary: 'How alerts are grouped, repeated and bounded.',
      body: alertTimingSchema,
      reply,
      handle: ({ body }) => {
        settings.setTiming(body);
        return view();
      },
    }),
  ];
}

function channelRoutes({ alerts: { settings } }: ApiContext): AnyRoute[] {
  return [
    route({
      method: 'POST',
      path: '/alerts/channels',
      role,
      tag,
      summary: 'Adds a channel: e-mail, webhook, or a group robot of WeCom, DingTalk or Feishu.',
      body: channelInputSchema,
      reply: viewSchema,
      handle: ({ body }) => channelView(settings.add(body)) as View,
    }),
    route({
      method: 'PUT',
      path: '/alerts/channels/:id',
      role,
      tag,
      summary:
        'Replaces a channel; a password or secret that is left out stays, and so does an address that is sent as it was shown.',
      params,
      body: channelInputSchema,
      reply: viewSchema,
      handle: ({ params: { id }, body }) => channelView(settings.replace(id, body)) as View,
    }),
    route({
      method: 'DELETE',
      path: '/alerts/channels/:id',
      role,
      tag,
      summary: 'Removes a channel.',
      params,
      reply: viewSchema,
      handle: ({ params: { id } }) => channelView(settings.remove(id)) as View,
    }),
  ];
}

function testRoute({ alerts }: ApiContext): AnyRoute {
  return route({
    method: 'POST',
    path: '/alerts/channels/:id/test',
    role: 'operator',
    tag,
    summary:
      'Sends a test message through a channel at once. Errors: ALERT_NOT_SENT with what the other side said.',
    params,
    reply: () => z.object({ sent: z.boolean() }),
    handle: async ({ params: { id } }) => {
      await alerts.test(id);
      return { sent: true };
    },
  });
}
