import { createTheme, type CSSVariablesResolver, type MantineColorsTuple } from '@mantine/core';

/** Petrol: calm, and no colour of a level. */
const petrol: MantineColorsTuple = [
  '#e9f6f6',
  '#d6e9ea',
  '#aed2d5',
  '#83bac0',
  '#5fa6ad',
  '#4899a2',
  '#3a929c',
  '#1f7682',
  '#146672',
  '#00525d',
];

export const theme = createTheme({
  colors: { petrol },
  primaryColor: 'petrol',
  primaryShade: { light: 8, dark: 7 },
  autoContrast: true,
  luminanceThreshold: 0.34,
  defaultRadius: 'sm',
  cursorType: 'pointer',
  fontFamily:
    'system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", "PingFang SC", "PingFang TC", "Microsoft YaHei", "Microsoft JhengHei", "Noto Sans CJK SC", sans-serif',
  fontFamilyMonospace: 'ui-monospace, "SF Mono", Menlo, Consolas, "Liberation Mono", monospace',
  headings: { fontWeight: '650' },
  respectReducedMotion: true,
});

/** Mantine's own soft text is too pale for small letters (WCAG AA asks for 4.5 to 1). */
export const cssVariables: CSSVariablesResolver = () => ({
  variables: {},
  light: { '--mantine-color-dimmed': '#565f67', '--mantine-color-placeholder': '#6a737b' },
  dark: { '--mantine-color-dimmed': '#adb3b8', '--mantine-color-placeholder': '#8d949a' },
});
