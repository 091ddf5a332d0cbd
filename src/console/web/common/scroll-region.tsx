// What is wider or longer than its place. It can be scrolled with the keyboard, hence the tab stop.
import './common.css';
import type { ReactNode } from 'react';

export function ScrollRegion({
  label,
  className = 'wide-table',
  children,
}: {
  readonly label: string;
  readonly className?: string;
  readonly children: ReactNode;
}) {
  return (
    // oxlint-disable-next-line jsx-a11y/no-noninteractive-tabindex
    <div className={className} role="group" aria-label={label} tabIndex={0}>
      {children}
    </div>
  );
}
