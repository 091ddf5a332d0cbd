// A card with a heading, and tables that scroll sideways on small screens.
import './common.css';
import { Group, Table, Title } from '@mantine/core';
import { type ReactNode, useId } from 'react';
import { ScrollRegion } from './scroll-region.tsx';

export function Section({
  title,
  actions,
  children,
}: {
  readonly title: string;
  readonly actions?: ReactNode;
  readonly children: ReactNode;
}) {
  const id = useId();
  return (
    <section className="card" aria-labelledby={id}>
      <Group justify="space-between" mb="sm" gap="sm">
        <Title order={2} size="h4" id={id}>
          {title}
        </Title>
        {actions}
      </Group>
      {children}
    </section>
  );
}

/** `label` names the table for who hears the page; it can be scrolled with the keyboard. */
export function WideTable({
  label,
  minWidth,
  head,
  children,
}: {
  readonly label: string;
  readonly minWidth: number;
  readonly head: readonly string[];
  readonly children: ReactNode;
}) {
  return (
    <ScrollRegion label={label}>
      <Table miw={minWidth} verticalSpacing={6} fz="sm" className="numbers">
        <Table.Thead>
          <Table.Tr>
            {head.map((text, index) => (
              <Table.Th scope="col" key={`${index} ${text}`}>
                {text}
              </Table.Th>
            ))}
          </Table.Tr>
        </Table.Thead>
        <Table.Tbody>{children}</Table.Tbody>
      </Table>
    </ScrollRegion>
  );
}
