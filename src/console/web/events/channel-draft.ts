// An alert channel as a form has it, and what of it goes to the API. Pure.
export const KINDS = ['email', 'webhook', 'wecom', 'dingtalk', 'feishu'] as const;
export type ChannelKind = (typeof KINDS)[number];

/** As the API shows one: without secrets; of robots only the ends of their address. */
export interface ShownChannel {
  readonly id: string;
  readonly kind: ChannelKind;
  readonly name: string;
  readonly enabled: boolean;
  readonly level: 'warning' | 'error';
  readonly hasPassword: boolean;
  readonly hasSecret: boolean;
  readonly url?: string;
  readonly host?: string;
  readonly port?: number;
  readonly security?: 'none' | 'starttls' | 'tls';
  readonly user?: string;
  readonly from?: string;
  readonly to?: readonly string[];
}

export interface ChannelDraft {
  readonly kind: ChannelKind;
  readonly name: string;
  readonly enabled: boolean;
  readonly level: 'warning' | 'error';
  readonly url: string;
  readonly secret: string;
  readonly host: string;
  readonly port: string | number;
  readonly security: 'none' | 'starttls' | 'tls';
  readonly user: string;
  readonly password: string;
  readonly from: string;
  /** One address a line. */
  readonly to: string;
}

export const NEW_CHANNEL: ChannelDraft = {
  kind: 'email',
  name: '',
  enabled: true,
  level: 'warning',
  url: '',
  secret: '',
  host: '',
  port: 587,
  security: 'starttls',
  user: '',
  password: '',
  from: '',
  to: '',
};

export function channelDraft(shown: ShownChannel): ChannelDraft {
  const { kind, name, enabled, level } = shown;
  return {
    ...NEW_CHANNEL,
    kind,
    name,
    enabled,
    level,
    url: shown.url ?? '',
    host: shown.host ?? '',
    port: shown.port ?? NEW_CHANNEL.port,
    security: shown.security ?? NEW_CHANNEL.security,
    user: shown.user ?? '',
    from: shown.from ?? '',
    to: (shown.to ?? []).join('\n'),
  };
}

/** Kinds whose messages are signed with a secret. */
export function hasSecret(kind: ChannelKind): boolean {
  return kind === 'webhook' || kind === 'dingtalk' || kind === 'feishu';
}

/** A secret that is left empty is left out: then the one that is kept stays. */
export function channelInput(draft: ChannelDraft): Record<string, unknown> {
  const { kind, name, enabled, level } = draft;
  const common = { kind, name: name.trim(), enabled, level };
  if (kind === 'email') {
    const { host, port, security, user, password, from, to } = draft;
    return {
      ...common,
      host: host.trim(),
      port: Number(port),
      security,
      ...(user.trim() === '' ? {} : { user: user.trim() }),
      ...(password === '' ? {} : { password }),
      from: from.trim(),
      to: to
        .split(/[\n,;]/)
        .map((address) => address.trim())
        .filter((address) => address !== ''),
    };
  }
  const { url, secret } = draft;
  return {
    ...common,
    url: url.trim(),
    ...(hasSecret(kind) && secret !== '' ? { secret } : {}),
  };
}

/** `to[1]` is a line of `to`. */
export function channelField(field: string): string {
  return field.replace(/\[\d+\]$/, '');
}
