// A node is added in two steps: its address, then the fingerprint that it shows, compared by a person, and an access token of it.
import { Alert, Button, Checkbox, Group, NumberInput, Stack, Text, TextInput } from '@mantine/core';
import { useForm } from '@mantine/form';
import { IconShieldQuestion } from '@tabler/icons-react';
import { useQueryClient } from '@tanstack/react-query';
import { useState } from 'react';
import { useTranslation } from 'react-i18next';
import { Link, useLocation } from 'wouter';
import { ApiError, call } from '../app/api.ts';
import { FLEET_KEY } from '../app/live.ts';
import { useMay } from '../app/session.tsx';
import { Fault } from '../app/ui/fault.tsx';
import { formFaults } from '../app/ui/form-faults.ts';
import { notifyDone } from '../app/ui/notify.ts';
import { Page } from '../app/ui/page.tsx';
import { ApiForm } from '../common/form.tsx';
import { useWork } from '../common/use-work.ts';

const FIELDS = ['host', 'port', 'token', 'fingerprint'];

export function AddNodePage() {
  const { t } = useTranslation('node');
  const may = useMay('administrator');
  return (
    <Page
      title={t('add')}
      trail={[
        { label: t('fleet'), to: '/' },
        { label: t('nodes'), to: '/nodes' },
      ]}
      subtitle={t('addText')}
    >
      {may ? (
        <section className="card" aria-label={t('add')}>
          <Steps />
        </section>
      ) : (
        <Alert color="yellow">{t('addNeedsAdministrator')}</Alert>
      )}
    </Page>
  );
}

function Steps() {
  const [, go] = useLocation();
  const { t } = useTranslation('node');
  const client = useQueryClient();
  const [fingerprint, setFingerprint] = useState<string | null>(null);
  const [isSame, setSame] = useState(false);
  const work = useWork();
  const form = useForm({ initialValues: { host: '', port: 7440, token: '' } });
  const send = async (): Promise<void> => {
    form.clearErrors();
    try {
      const { host, port, token } = form.getValues();
      const place = { host: host.trim(), port };
      if (fingerprint === null) {
        const found = await call<{ fingerprint: string }>('/nodes/probe', {
          method: 'POST',
          body: place,
        });
        setFingerprint(found.fingerprint);
        return;
      }
      const body = { ...place, fingerprint, token: token.trim() };
      const added = await call<{ name: string }>('/nodes', { method: 'POST', body });
      notifyDone(t('added', { node: added.name }));
      void client.invalidateQueries({ queryKey: FLEET_KEY });
      void client.invalidateQueries({ queryKey: ['nodes'] });
      go('/nodes');
    } catch (thrown) {
      if (thrown instanceof ApiError) {
        const { atFields } = formFaults(thrown, FIELDS);
        form.setErrors(atFields);
        if (Object.keys(atFields).length > 0) return;
      }
      throw thrown;
    }
  };
  const isAsked = fingerprint !== null;
  return (
    <ApiForm onSubmit={() => void work.run(send)}>
      <Stack maw={720}>
        <Group align="flex-start" grow>
          <TextInput
            label={t('address')}
            description={t('addressText')}
            readOnly={isAsked}
            data-autofocus
            {...form.getInputProps('host')}
          />
          <NumberInput
            label={t('port')}
            description={t('portText')}
            readOnly={isAsked}
            hideControls
            min={1}
            max={65_535}
            {...form.getInputProps('port')}
          />
        </Group>
        {isAsked && (
          <>
            <Alert
              color="yellow"
              icon={<IconShieldQuestion aria-hidden />}
              title={t('fingerprintTitle')}
            >
              <Text size="sm">{t('fingerprintText')}</Text>
              <Text className="path" my="xs" fw={600} data-fingerprint>
                {spaced(fingerprint)}
              </Text>
              <Text size="sm" className="path">
                understudy token create console --role administrator
              </Text>
            </Alert>
            <Checkbox
              label={t('fingerprintSame')}
              checked={isSame}
              onChange={(event) => setSame(event.currentTarget.checked)}
              error={form.errors['fingerprint']}
            />
            <TextInput
              label={t('token')}
              description={t('tokenText')}
              autoComplete="off"
              {...form.getInputProps('token')}
            />
          </>
        )}
        {work.error !== null && <Fault error={work.error} />}
        <Group justify="flex-end">
          <Button variant="default" component={Link} href="/nodes">
            {t('cancel')}
          </Button>
          <Button type="submit" loading={work.isBusy} disabled={isAsked && !isSame}>
            {isAsked ? t('add') : t('next')}
          </Button>
        </Group>
      </Stack>
    </ApiForm>
  );
}

/** In groups of four, to be compared by eye. */
function spaced(fingerprint: string): string {
  return fingerprint.replaceAll(/(.{4})(?=.)/g, '$1 ');
}
