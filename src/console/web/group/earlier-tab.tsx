// The past: earlier states that the standby keeps, and what a node had alone before it was made equal to the other.
import { Stack } from '@mantine/core';
import { RewindSection } from './earlier/rewind-section.tsx';
import { SalvageSection } from './earlier/salvage-section.tsx';

export function EarlierTab() {
  return (
    <Stack gap="md">
      <RewindSection />
      <SalvageSection />
    </Stack>
  );
}
