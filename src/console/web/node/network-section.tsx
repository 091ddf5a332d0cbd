// Network cards: what they are, whether they are connected, what passes over them at this moment.
import { Badge, SimpleGrid, Skeleton, Stack, Text, Title } from '@mantine/core';
import { useTranslation } from 'react-i18next';
import type { NetworkCard } from '../../../service/node-health/network-cards.ts';
import { formatBytes, formatCount, formatRate } from '../app/format.ts';
import { currentLanguage } from '../app/i18n.ts';
import { Fault } from '../app/ui/fault.tsx';
import { LevelBadge } from '../app/ui/level.tsx';
import { Sparkline } from '../charts/sparkline.tsx';
import { interfaceRates, useTraffic } from '../charts/use-traffic.ts';
import { Facts } from '../common/facts.tsx';
import { useHealth } from './use-node.ts';

const SPARK_SECONDS = 60;

export function NetworkSection({ node }: { readonly node: string }) {
  const health = useHealth(node);
  const traffic = useTraffic(node);
  if (health.data === undefined) {
    return health.error === null ? <Skeleton height={240} /> : <Fault error={health.error} />;
  }
  const cards = health.data.networkCards.toSorted(byImportance);
  return (
    <Stack>
      {health.error !== null && <Fault error={health.error} />}
      <SimpleGrid cols={{ base: 1, md: 2 }} spacing="md">
        {cards.map((card) => (
          <Card key={card.name} card={card} rates={interfaceRates(traffic, card.name)} />
        ))}
      </SimpleGrid>
    </Stack>
  );
}

/** Real cards with a link first, the loopback last. */
function byImportance(one: NetworkCard, other: NetworkCard): number {
  return rank(one) - rank(other) || one.name.localeCompare(other.name);
}

function rank({ loopback, up, link, addresses }: NetworkCard): number {
  return (loopback ? 8 : 0) + (up ? 0 : 4) + (link ? 0 : 2) + (addresses.length > 0 ? 0 : 1);
}

function Card({
  card,
  rates,
}: {
  readonly card: NetworkCard;
  readonly rates: ReturnType<typeof interfaceRates>;
}) {
  const { t } = useTranslation('node');
  const language = currentLanguage();
  const errors = card.receivedErrors + card.sentErrors;
  const dropped = card.receivedDropped + card.sentDropped;
  const count = (value: number): string => formatCount(value, language);
  return (
    <section className="card" aria-label={t('card', { name: card.name })}>
      <div className="card-head">
        <Title order={2} size="h4" className="path">
          {card.name}
        </Title>
        <LinkBadge card={card} />
        {card.virtual && !card.loopback && (
          <Badge variant="outline" color="gray" tt="none">
            {t('virtual')}
          </Badge>
        )}
      </div>
      <Text className="path" mb="sm">
        {card.addresses.length === 0 ? t('noAddresses') : card.addresses.join(', ')}
      </Text>
      {!card.loopback && (
        <SimpleGrid cols={2} spacing="md" mb="sm">
          <Flow label={t('receives')} values={rates.received} total={card.receivedBytes} />
          <Flow label={t('sends')} values={rates.sent} total={card.sentBytes} />
        </SimpleGrid>
      )}
      <Facts
        facts={[
          [
            'MAC',
            <span className="path" key="mac">
              {card.mac ?? '–'}
            </span>,
          ],
          [
            t('speed'),
            card.speedMbit === null
              ? '–'
              : t('speedValue', { speed: count(card.speedMbit), duplex: duplexText(card, t) }),
          ],
          ['MTU', card.mtu ?? '–'],
          [t('driver'), card.driver ?? '–'],
          [
            t('packets'),
            t('bothWays', { received: count(card.receivedPackets), sent: count(card.sentPackets) }),
          ],
          [
            t('errors'),
            errors > 0 ? (
              <LevelBadge key="errors" level="warning" label={count(errors)} />
            ) : (
              count(errors)
            ),
          ],
          [t('dropped'), count(dropped)],
        ]}
      />
    </section>
  );
}

function duplexText({ duplex }: NetworkCard, t: (key: string) => string): string {
  return duplex === null ? '' : t(`duplex.${duplex}`);
}

function LinkBadge({ card }: { readonly card: NetworkCard }) {
  const { t } = useTranslation('node');
  if (!card.up) return <LevelBadge level="info" label={t('cardDown')} />;
  if (!card.link) return <LevelBadge level="error" label={t('noLink')} />;
  return <LevelBadge level="ok" label={t('linkUp')} />;
}

function Flow({
  label,
  values,
  total,
}: {
  readonly label: string;
  readonly values: readonly number[];
  readonly total: number;
}) {
  const { t } = useTranslation('node');
  const recent = values.slice(-SPARK_SECONDS);
  const last = recent.at(-1);
  const shown = last === undefined ? '–' : formatRate(last);
  return (
    <div>
      <Text size="xs" className="soft">
        {label}
      </Text>
      <Text fw={600} className="numbers">
        {shown}
      </Text>
      <Sparkline values={recent} label={t('lastMinute', { label })} />
      <Text size="xs" className="soft numbers">
        {t('sinceBoot', { bytes: formatBytes(total) })}
      </Text>
    </div>
  );
}
