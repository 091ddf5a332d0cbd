import { useTranslation } from 'react-i18next';
import { useParams } from 'wouter';
import { useGroup } from '../app/fleet-data.tsx';
import { Page } from '../app/ui/page.tsx';

export function GroupPage() {
  const { t } = useTranslation('group');
  const { group: id = '' } = useParams();
  const group = useGroup(id);
  return <Page title={group?.name ?? ''}>{group !== undefined && t(`copy.${group.copy}`)}</Page>;
}
