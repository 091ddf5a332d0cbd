import { expect, test } from 'vitest';
import { channelInputSchema } from '../../../service/alerts/alert-settings.ts';
import {
  channelDraft,
  type ChannelDraft,
  channelField,
  channelInput,
  KINDS,
  NEW_CHANNEL,
} from './channel-draft.ts';

const filled: ChannelDraft = {
  ...NEW_CHANNEL,
  name: ' Operators ',
  url: 'https://example.net/hook',
  secret: 'key',
  host: 'mail.example.net',
  user: 'alerts',
  password: 'p',
  from: 'alerts@example.net',
  to: 'a@example.net\nb@example.net, c@example.net\n',
};

test.each(KINDS)('%s: the service takes what the form makes', (kind) => {
  const parsed = channelInputSchema.safeParse(channelInput({ ...filled, kind }));
  expect(parsed.error?.message).toBeUndefined();
  expect(parsed.data).toMatchObject({ kind, name: 'Operators' });
});

test('several addresses; secrets that are left empty are left out', () => {
  expect(channelInput(filled)['to']).toEqual(['a@example.net', 'b@example.net', 'c@example.net']);
  expect(channelInput({ ...filled, password: '' })).not.toHaveProperty('password');
  expect(channelInput({ ...filled, kind: 'feishu', secret: '' })).not.toHaveProperty('secret');
  expect(channelInput({ ...filled, kind: 'wecom' })).not.toHaveProperty('secret');
});

test('what is shown of a channel comes back as it was', () => {
  const shown = {
    id: '00000000',
    kind: 'email' as const,
    name: 'x',
    enabled: false,
    level: 'error' as const,
    hasPassword: true,
    hasSecret: false,
    host: 'mail.example.net',
    port: 25,
    security: 'none' as const,
    from: 'a@example.net',
    to: ['b@example.net'],
  };
  const { id: _id, hasPassword: _has, hasSecret: _secret, ...rest } = shown;
  expect(channelInput(channelDraft(shown))).toEqual(rest);
  expect(channelField('to[1]')).toBe('to');
});
