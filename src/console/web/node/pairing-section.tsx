// With whom a node is paired: an invitation for another node, joining one, ending it.
import { Alert, Button, Group, Stack, Text, Textarea } from '@mantine/core';
import { useQueryClient } from '@tanstack/react-query';
import { useState } from 'react';
import { useTranslation } from 'react-i18next';
import type { NodeOverview } from '../../fleet/overview.ts';
import { call, nodeRoute, runOperation } from '../app/api.ts';
import { formatTime } from '../app/format.ts';
import { currentLanguage } from '../app/i18n.ts';
import { useMay } from '../app/session.tsx';
import { useFaultText } from '../app/ui/fault.tsx';
import { notifyDone } from '../app/ui/notify.ts';
import { ConfirmByName } from '../common/confirm-by-name.tsx';
import { ApiForm } from '../common/form.tsx';
import { SecretLine } from '../common/secret-line.tsx';
import { Section } from '../common/section.tsx';
import { useWork } from '../common/use-work.ts';

export function PairingSection({ node }: { readonly node: NodeOverview }) {
  const { t } = useTranslation('node');
  const may = useMay('administrator');
  if (node.peerName !== null) return <Paired node={node} mayEnd={may} />;
  if (!may) {
    return (
      <Section title={t('tab.pairing')}>
        <Text size="sm">{t('pairingNeedsAdministrator')}</Text>
      </Section>
    );
  }
  return (
    <Stack>
      <Invite node={node} />
      <Join node={node} />
    </Stack>
  );
}

function Paired({ node, mayEnd }: { readonly node: NodeOverview; readonly mayEnd: boolean }) {
  const { t } = useTranslation('node');
  const [isAsking, setAsking] = useState(false);
  const client = useQueryClient();
  const { peerName } = node;
  return (
    <Section title={t('tab.pairing')}>
      <Stack align="flex-start">
        <Text>{t('pairedLong', { node: node.name, peer: peerName })}</Text>
        {mayEnd && (
          <Button variant="outline" color="red" onClick={() => setAsking(true)}>
            {t('unpair')}
          </Button>
        )}
      </Stack>
      <ConfirmByName
        isOpen={isAsking}
        onClose={() => setAsking(false)}
        title={t('unpairTitle', { peer: peerName })}
        consequence={t('unpairConsequence', { node: node.name, peer: peerName })}
        name={node.name}
        action={t('unpair')}
        work={async () => {
          await call(nodeRoute(node.id, '/pairing'), { method: 'DELETE' });
          notifyDone(t('unpaired', { peer: peerName }));
          void client.invalidateQueries({ queryKey: ['fleet'] });
        }}
      />
    </Section>
  );
}

function Invite({ node }: { readonly node: NodeOverview }) {
  const { t } = useTranslation('node');
  const [made, setMade] = useState<{ token: string; expiresAt: string } | null>(null);
  const work = useWork();
  const faultText = useFaultText();
  return (
    <Section title={t('invite')}>
      <Stack align="stretch">
        <Text size="sm">{t('inviteText', { node: node.name })}</Text>
        {made === null ? (
          <Group>
            <Button
              loading={work.isBusy}
              onClick={() =>
                void work.run(async () => {
                  const route = nodeRoute(node.id, '/pairing/invitation');
                  setMade(await call(route, { method: 'POST', body: {} }));
                })
              }
            >
              {t('inviteMake')}
            </Button>
          </Group>
        ) : (
          <>
            <SecretLine value={made.token} label={t('inviteToken')} />
            <Text size="sm" className="soft">
              {t('inviteUntil', { time: formatTime(made.expiresAt, currentLanguage()) })}
            </Text>
          </>
        )}
        {work.error !== null && (
          <Alert color="red" role="alert">
            {faultText(work.error)}
          </Alert>
        )}
      </Stack>
    </Section>
  );
}

function Join({ node }: { readonly node: NodeOverview }) {
  const { t } = useTranslation('node');
  const [token, setToken] = useState('');
  const work = useWork();
  const client = useQueryClient();
  const faultText = useFaultText();
  return (
    <Section title={t('join')}>
      <ApiForm
        onSubmit={() => {
          void work.run(async () => {
            const body = { token: token.trim() };
            await runOperation({ node: node.id, path: '/pairing/join', body });
            notifyDone(t('joined'));
            void client.invalidateQueries({ queryKey: ['fleet'] });
          });
        }}
      >
        <Stack align="flex-start">
          <Textarea
            w="100%"
            label={t('joinToken')}
            description={t('joinText')}
            value={token}
            onChange={(event) => setToken(event.currentTarget.value)}
            error={work.error === null ? null : faultText(work.error)}
            autosize
            minRows={2}
            required
          />
          <Button type="submit" loading={work.isBusy} disabled={token.trim() === ''}>
            {t('joinDo')}
          </Button>
        </Stack>
      </ApiForm>
    </Section>
  );
}
