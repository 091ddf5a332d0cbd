import { Stack } from '@mantine/core';
import { Agents } from './agents.tsx';
import { CopyProgressCard } from './copy-progress-card.tsx';
import { Figures } from './figures.tsx';
import { RecentEvents } from './recent-events.tsx';
import { Topology } from './topology.tsx';

export function OverviewTab() {
  return (
    <Stack gap="md">
      <Topology />
      <CopyProgressCard />
      <Figures />
      <Agents />
      <RecentEvents />
    </Stack>
  );
}
