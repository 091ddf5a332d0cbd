// A page that breaks says so and leaves the rest of the console usable.
import { Alert, Button, Stack, Text } from '@mantine/core';
import { Component, type ErrorInfo, type ReactNode } from 'react';
import { useTranslation } from 'react-i18next';

interface Props {
  readonly children: ReactNode;
  /** With another value it tries again. */
  readonly resetKey?: string;
}

interface State {
  readonly error: Error | null;
}

export class ErrorBoundary extends Component<Props, State> {
  override state: State = { error: null };

  static getDerivedStateFromError(error: Error): State {
    return { error };
  }

  override componentDidCatch(error: Error, info: ErrorInfo): void {
    // The browser's console is the only log that there is here.
    // oxlint-disable-next-line no-console
    console.error(error, info.componentStack);
  }

  override componentDidUpdate(before: Props): void {
    if (before.resetKey !== this.props.resetKey && this.state.error !== null) {
      // Once: the condition does not hold after it.
      // oxlint-disable-next-line react/no-did-update-set-state
      this.setState({ error: null });
    }
  }

  override render(): ReactNode {
    const { error } = this.state;
    return error === null ? this.props.children : <Broken error={error} />;
  }
}

function Broken({ error }: { readonly error: Error }) {
  const { t } = useTranslation();
  // After an update, files of the version before are gone: the page has to be loaded again.
  return (
    <Alert color="red" title={t('broken.title')} m="md" role="alert">
      <Stack align="flex-start">
        <Text size="sm">{t('broken.text')}</Text>
        <Text size="xs" c="dimmed" ff="monospace">
          {error.message}
        </Text>
        <Button onClick={() => location.reload()}>{t('broken.reload')}</Button>
      </Stack>
    </Alert>
  );
}
