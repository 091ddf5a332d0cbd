import { BandwidthEditor } from '../bandwidth/bandwidth-editor.tsx';
import { useGroupDetail } from './group-detail.tsx';

export function BandwidthTab() {
  const { overview } = useGroupDetail();
  const node = overview.primaryId ?? overview.seenFrom;
  return <BandwidthEditor target={{ kind: 'group', node, group: overview.name }} />;
}
