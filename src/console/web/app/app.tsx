import { MantineProvider, mergeThemeOverrides } from '@mantine/core';
import { Notifications } from '@mantine/notifications';
import { QueryClientProvider } from '@tanstack/react-query';
import { useMemo } from 'react';
import { useTranslation } from 'react-i18next';
import { ErrorBoundary } from './error-boundary.tsx';
import { Gate } from './gate.tsx';
import { queryClient } from './query-client.ts';
import { SessionProvider } from './session.tsx';
import { cssVariables, theme } from './theme.ts';

export function App({ nonce }: { readonly nonce: string }) {
  const { t } = useTranslation();
  const close = t('close');
  // Buttons that are a cross only have a name in every language.
  const named = useMemo(() => {
    const defaultProps = { closeButtonProps: { 'aria-label': close } };
    const components = { Modal: { defaultProps }, Notification: { defaultProps } };
    return mergeThemeOverrides(theme, { components });
  }, [close]);
  return (
    <MantineProvider
      theme={named}
      cssVariablesResolver={cssVariables}
      defaultColorScheme="auto"
      getStyleNonce={() => nonce}
    >
      <Notifications position="top-right" limit={4} />
      <ErrorBoundary>
        <QueryClientProvider client={queryClient}>
          <SessionProvider>
            <Gate />
          </SessionProvider>
        </QueryClientProvider>
      </ErrorBoundary>
    </MantineProvider>
  );
}
