// Parts of a page that have addresses of their own.
import { Tabs } from '@mantine/core';
import type { ReactNode } from 'react';

export function RoutedTabs<T extends string>({
  tabs,
  value,
  label,
  onChange,
  children,
}: {
  readonly tabs: readonly T[];
  readonly value: T;
  readonly label: (tab: T) => string;
  readonly onChange: (tab: T) => void;
  /** What belongs to `value`. */
  readonly children: ReactNode;
}) {
  return (
    <Tabs
      value={value}
      onChange={(chosen) => onChange((chosen ?? tabs[0]) as T)}
      keepMounted={false}
    >
      <Tabs.List>
        {tabs.map((tab) => (
          <Tabs.Tab value={tab} key={tab}>
            {label(tab)}
          </Tabs.Tab>
        ))}
      </Tabs.List>
      <Tabs.Panel value={value} pt="md">
        {children}
      </Tabs.Panel>
    </Tabs>
  );
}
