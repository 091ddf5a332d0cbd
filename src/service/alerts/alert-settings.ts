// Where alerts of this node go, and how often: kept in `/var/lib/understudy/alerts.json` (mode 0600, since it holds passwords).
import { randomBytes } from 'node:crypto';
import { z } from 'zod';
import { UnderstudyError } from '../../core/errors.ts';
import { shortened, withKeyHidden } from '../admin-api/hidden-secrets.ts';
import { readOrPutAside, writeJsonDurably } from '../durable-file.ts';
import { portSchema } from '../group-spec.ts';
import { hostSchema } from '../node-config.ts';

const CHANNELS_MAX = 20;
const SECRET_MAX = 512;
const secretSchema = z.string().min(1).max(SECRET_MAX);
const httpUrl = z.url({ protocol: /^https?$/ }).max(2048);
/** One address, with or without a name; no line breaks, which would make headers of it. */
const mailbox = z
  .string()
  .max(320)
  .regex(/^[^\r\n<>,;]*<?[^\s<>,;@]+@[^\s<>,;@]+>?$/, 'must be a mail address');

const common = {
  name: z.string().min(1).max(64),
  enabled: z.boolean().default(true),
  /** This level or a worse one. */
  level: z.enum(['warning', 'error']).default('warning'),
};

export const channelInputSchema = z.discriminatedUnion('kind', [
  z.strictObject({
    ...common,
    kind: z.literal('email'),
    host: hostSchema,
    port: portSchema.default(587),
    /** `starttls` is required, not tried. */
    security: z.enum(['none', 'starttls', 'tls']).default('starttls'),
    user: z.string().max(256).optional(),
    password: secretSchema.optional(),
    from: mailbox,
    to: z.array(mailbox).min(1).max(20),
  }),
  z.strictObject({
    ...common,
    kind: z.literal('webhook'),
    url: httpUrl,
    /** HMAC-SHA256 of the body, in hex, in `x-understudy-signature`. */
    secret: secretSchema.optional(),
  }),
  z.strictObject({ ...common, kind: z.literal('wecom'), url: httpUrl }),
  z.strictObject({
    ...common,
    kind: z.literal('dingtalk'),
    url: httpUrl,
    secret: secretSchema.optional(),
  }),
  z.strictObject({
    ...common,
    kind: z.literal('feishu'),
    url: httpUrl,
    secret: secretSchema.optional(),
  }),
]);
export type ChannelInput = z.infer<typeof channelInputSchema>;
export type Channel = ChannelInput & { readonly id: string };

export const alertTimingSchema = z.strictObject({
  /** Events within so long after the first go out together. */
  groupSeconds: z.int().min(0).max(3600).default(15),
  /** The same event about the same group is not told again before. */
  repeatMinutes: z.int().min(1).max(10_080).default(60),
  /** Of each channel; beyond that, one message says how many were left out. */
  messagesPerHour: z.int().min(1).max(1000).default(20),
});
export type AlertTiming = z.infer<typeof alertTimingSchema>;

const idSchema = z.string().regex(/^[0-9a-f]{8}$/);
/** The channel schemas are strict: the id is taken off before they are asked. */
const fileSchema = z.object({
  timing: alertTimingSchema,
  channels: z
    .array(
      z.looseObject({ id: idSchema }).transform(({ id, ...rest }): Channel => ({
        ...channelInputSchema.parse(rest),
        id,
      })),
    )
    .max(CHANNELS_MAX),
}) satisfies z.ZodType<{ timing: AlertTiming; channels: Channel[] }>;

/** A channel as it is shown: secrets are only said to be there. Robots have theirs in the URL, webhooks may. */
export type ChannelView = Record<string, unknown> & { readonly id: string; readonly kind: string };

export class AlertSettings {
  readonly #path: string;
  #timing: AlertTiming;
  #channels: readonly Channel[];

  /** Errors: STATE_FILE_INVALID. */
  constructor(path: string, onDamaged?: (sentence: string) => void) {
    this.#path = path;
    const kept = readOrPutAside(path, fileSchema, onDamaged);
    this.#timing = kept?.timing ?? alertTimingSchema.parse({});
    this.#channels = kept?.channels ?? [];
  }

  get timing(): AlertTiming {
    return this.#timing;
  }

  get channels(): readonly Channel[] {
    return this.#channels;
  }

  /** Errors: ALERT_CHANNEL_UNKNOWN. */
  get(id: string): Channel {
    const channel = this.#channels.find((one) => one.id === id);
    if (channel !== undefined) return channel;
    throw new UnderstudyError(
      'ALERT_CHANNEL_UNKNOWN',
      `there is no alert channel "${id}" on this node`,
    );
  }

  setTiming(timing: AlertTiming): void {
    this.#save(timing, this.#channels);
  }

  /** Errors: ALERT_CHANNELS_TOO_MANY. */
  add(input: ChannelInput): Channel {
    if (this.#channels.length >= CHANNELS_MAX) {
      throw new UnderstudyError(
        'ALERT_CHANNELS_TOO_MANY',
        `this node has ${CHANNELS_MAX} alert channels, which is the limit: remove one first`,
      );
    }
    const channel = { ...input, id: randomBytes(4).toString('hex') };
    this.#save(this.#timing, [...this.#channels, channel]);
    return channel;
  }

  /** Secrets that are left out and addresses that come back as they were shown stay. Errors: ALERT_CHANNEL_UNKNOWN. */
  replace(id: string, input: ChannelInput): Channel {
    const before = this.get(id);
    const channel = { ...keptSecrets(before, input), ...input, ...keptUrl(before, input), id };
    this.#save(
      this.#timing,
      this.#channels.map((one) => (one === before ? channel : one)),
    );
    return channel;
  }

  /** Errors: ALERT_CHANNEL_UNKNOWN. */
  remove(id: string): Channel {
    const channel = this.get(id);
    this.#save(
      this.#timing,
      this.#channels.filter((one) => one !== channel),
    );
    return channel;
  }

  #save(timing: AlertTiming, channels: readonly Channel[]): void {
    writeJsonDurably(this.#path, { timing, channels });
    this.#timing = timing;
    this.#channels = channels;
  }
}

function keptSecrets(
  before: Channel,
  input: ChannelInput,
): Partial<Record<'password' | 'secret', string>> {
  if (before.kind !== input.kind) return {};
  const password = before.kind === 'email' ? before.password : undefined;
  const secret = 'secret' in before ? before.secret : undefined;
  return {
    ...(password === undefined ? {} : { password }),
    ...(secret === undefined ? {} : { secret }),
  };
}

/** An address that comes back as it was shown was not changed. */
function keptUrl(before: Channel, input: ChannelInput): { readonly url?: string } {
  if (!('url' in before) || !('url' in input) || before.kind !== input.kind) return {};
  return input.url === shownUrl(before.url, before.kind) ? { url: before.url } : {};
}

export function channelView(channel: Channel): ChannelView {
  const { password, secret, url, ...rest } = channel as Channel & {
    password?: string;
    secret?: string;
    url?: string;
  };
  return {
    ...rest,
    ...(url === undefined ? {} : { url: shownUrl(url, channel.kind) }),
    hasPassword: password !== undefined,
    hasSecret: secret !== undefined,
  };
}

/** The key of a robot is in its URL, and often that of a webhook: whoever has it can write in its name. */
function shownUrl(url: string, kind: Channel['kind']): string {
  return kind === 'webhook' ? withKeyHidden(url) : shortened(url);
}
