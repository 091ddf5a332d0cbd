// The two nodes, what each has, and what goes between them. Each node keeps its place when the roles change, so that one sees them
// change.
import { useMediaQuery } from '@mantine/hooks';
import { useTranslation } from 'react-i18next';
import { formatRate } from '../app/format.ts';
import { useGroupDetail } from './group-detail.tsx';
import { LinkDrawing } from './link-drawing.tsx';
import { NodeBox } from './node-box.tsx';
import { linkState, placesOf } from './topology-state.ts';

const NARROW = '(max-width: 640px)';

export function Topology() {
  const { t } = useTranslation('group');
  const { overview, status, nodes } = useGroupDetail();
  const isNarrow = useMediaQuery(NARROW, false, { getInitialValueInEffect: false });
  const [first, second] = placesOf(overview, status, nodes);
  const link = linkState(overview);
  const rate = overview.wireBytesPerSecond;
  return (
    <figure className="topology card" aria-label={t('topology')}>
      <NodeBox place={first} />
      <div className="topology-link" data-state={link}>
        <span className="topology-link-word">
          {t(`link.${overview.link}`, { defaultValue: overview.link })}
        </span>
        <LinkDrawing
          state={link}
          isReversed={second.role === 'primary' && first.role !== 'primary'}
          isVertical={isNarrow === true}
          bytesPerSecond={rate ?? 0}
        />
        <span className="topology-link-rate numbers">
          {rate === null || link === 'broken' ? ' ' : formatRate(rate)}
        </span>
      </div>
      <NodeBox place={second} />
      <figcaption className="only-heard">
        {t('topologyText', {
          primary: overview.primary ?? t('nobody'),
          standby: overview.standby ?? t('nobody'),
          link: t(`link.${overview.link}`, { defaultValue: overview.link }),
        })}
      </figcaption>
    </figure>
  );
}
