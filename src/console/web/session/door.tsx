// The frame of what is seen without a session.
import { Center, Group, Paper, Title } from '@mantine/core';
import { type ReactNode, useEffect } from 'react';
import icon from '../app/icon.svg';
import { LookMenu } from '../app/look-menu.tsx';

export function Door({
  title,
  children,
}: {
  readonly title: string;
  readonly children: ReactNode;
}) {
  useEffect(() => {
    document.title = `${title} · Understudy`;
  }, [title]);
  return (
    <Center mih="100vh" p="md" component="main">
      <Paper withBorder radius="md" p="xl" w="100%" maw={400} shadow="sm">
        <Group justify="space-between" mb="lg" wrap="nowrap">
          <Group gap="sm" wrap="nowrap">
            <img src={icon} alt="" width={36} height={36} />
            <Title order={1} size="h3">
              {title}
            </Title>
          </Group>
          <LookMenu />
        </Group>
        {children}
      </Paper>
    </Center>
  );
}
