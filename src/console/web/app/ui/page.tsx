// The frame of every page: heading, what can be done, how old what is shown is.
import { Anchor, Breadcrumbs, Group, Stack, Text, Title } from '@mantine/core';
import { type ReactNode, useEffect, useRef } from 'react';
import { Link } from 'wouter';

export interface PageProps {
  readonly title: string;
  /** Beside the title: a level, a name of a mode. */
  readonly badge?: ReactNode;
  /** Where it is: from the outside inwards. */
  readonly trail?: readonly { readonly label: string; readonly to: string }[];
  readonly subtitle?: ReactNode;
  readonly actions?: ReactNode;
  readonly children: ReactNode;
}

export function Page({ title, badge, trail, subtitle, actions, children }: PageProps) {
  const heading = useRef<HTMLHeadingElement>(null);
  useEffect(() => {
    document.title = `${title} · Understudy`;
  }, [title]);
  useEffect(() => {
    // Who cannot see that the page is another one hears it.
    heading.current?.focus({ preventScroll: true });
  }, []);
  return (
    <Stack gap="md">
      {trail !== undefined && (
        <Breadcrumbs separatorMargin={6}>
          {trail.map(({ label, to }) => (
            <Anchor component={Link} href={to} key={to} size="sm">
              {label}
            </Anchor>
          ))}
        </Breadcrumbs>
      )}
      <Group justify="space-between" align="flex-start" gap="sm">
        <div>
          <Group gap="sm">
            <Title order={1} size="h2" ref={heading} tabIndex={-1} className="page-title">
              {title}
            </Title>
            {badge}
          </Group>
          {subtitle !== undefined && (
            <Text c="dimmed" size="sm" component="div">
              {subtitle}
            </Text>
          )}
        </div>
        {actions !== undefined && <Group gap="xs">{actions}</Group>}
      </Group>
      {children}
    </Stack>
  );
}
