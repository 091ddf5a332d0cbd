// An authenticator app: shown as a QR code and as text, confirmed by a code before it counts.
import { Badge, Button, Code, Group, PasswordInput, Stack, Text, TextInput } from '@mantine/core';
import { useForm } from '@mantine/form';
import { IconShieldCheck, IconShieldOff } from '@tabler/icons-react';
import { QRCodeSVG } from 'qrcode.react';
import { useState } from 'react';
import { useTranslation } from 'react-i18next';
import { call } from '../app/api.ts';
import { useSession, useSessionState } from '../app/session.tsx';
import { useFaultText } from '../app/ui/fault.tsx';
import { notifyDone } from '../app/ui/notify.ts';
import { useWork } from '../common/use-work.ts';

interface Made {
  readonly secret: string;
  readonly uri: string;
}

export function TotpSection() {
  const { t } = useTranslation('session');
  const { hasTotp } = useSession();
  const { change } = useSessionState();
  const [made, setMade] = useState<Made | null>(null);
  const Icon = hasTotp ? IconShieldCheck : IconShieldOff;
  const done = (isOn: boolean): void => {
    setMade(null);
    change({ hasTotp: isOn });
    notifyDone(t(isOn ? 'totp.added' : 'totp.removed'));
  };
  return (
    <Stack align="flex-start">
      <Badge
        color={hasTotp ? 'teal' : 'gray'}
        variant="light"
        tt="none"
        className="level-badge"
        leftSection={<Icon size={14} aria-hidden />}
      >
        {t(hasTotp ? 'totp.on' : 'totp.off')}
      </Badge>
      <Text size="sm" c="dimmed" maw={560}>
        {t('totp.text')}
      </Text>
      {made === null ? (
        <PasswordStep hasTotp={hasTotp} onMade={setMade} onRemoved={() => done(false)} />
      ) : (
        <CodeStep made={made} onConfirmed={() => done(true)} onGivenUp={() => setMade(null)} />
      )}
    </Stack>
  );
}

function PasswordStep({
  hasTotp,
  onMade,
  onRemoved,
}: {
  readonly hasTotp: boolean;
  readonly onMade: (made: Made) => void;
  readonly onRemoved: () => void;
}) {
  const { t } = useTranslation('session');
  const faultText = useFaultText();
  const { isBusy, run } = useWork();
  const form = useForm({
    initialValues: { password: '' },
    validate: { password: (value) => (value === '' ? t('password.presentMissing') : null) },
  });
  const submit = async (body: { password: string }): Promise<void> => {
    try {
      if (hasTotp) {
        await call('/account/totp', { method: 'DELETE', body });
        form.reset();
        onRemoved();
      } else onMade(await call<Made>('/account/totp', { method: 'POST', body }));
    } catch (thrown) {
      form.setFieldError('password', faultText(thrown));
    }
  };
  return (
    <form onSubmit={form.onSubmit((values) => void run(async () => submit(values)))} noValidate>
      <Group align="flex-start">
        <PasswordInput
          label={t('password.present')}
          autoComplete="current-password"
          w={260}
          visibilityToggleButtonProps={{ 'aria-label': t('show') }}
          {...form.getInputProps('password')}
        />
        <Button
          type="submit"
          loading={isBusy}
          mt={25}
          variant={hasTotp ? 'light' : 'filled'}
          {...(hasTotp ? { color: 'red' } : {})}
        >
          {t(hasTotp ? 'totp.remove' : 'totp.add')}
        </Button>
      </Group>
    </form>
  );
}

function CodeStep({
  made,
  onConfirmed,
  onGivenUp,
}: {
  readonly made: Made;
  readonly onConfirmed: () => void;
  readonly onGivenUp: () => void;
}) {
  const { t } = useTranslation('session');
  const faultText = useFaultText();
  const { isBusy, run } = useWork();
  const form = useForm({ initialValues: { code: '' } });
  const submit = async ({ code }: { code: string }): Promise<void> => {
    try {
      await call('/account/totp', { method: 'PUT', body: { code: code.trim() } });
      onConfirmed();
    } catch (thrown) {
      form.setFieldError('code', faultText(thrown));
    }
  };
  return (
    <form onSubmit={form.onSubmit((values) => void run(async () => submit(values)))} noValidate>
      <Group align="flex-start" gap="xl">
        <div className="qr">
          <QRCodeSVG value={made.uri} size={176} title={t('totp.qr')} />
        </div>
        <Stack maw={340}>
          <Text size="sm">{t('totp.scan')}</Text>
          <Code block className="secret">
            {made.secret.replaceAll(/(.{4})(?=.)/g, '$1 ')}
          </Code>
          <TextInput
            label={t('login.code')}
            inputMode="numeric"
            autoComplete="one-time-code"
            maxLength={8}
            {...form.getInputProps('code')}
          />
          <Group>
            <Button type="submit" loading={isBusy}>
              {t('totp.confirm')}
            </Button>
            <Button variant="default" onClick={onGivenUp}>
              {t('totp.giveUp')}
            </Button>
          </Group>
        </Stack>
      </Group>
    </form>
  );
}
