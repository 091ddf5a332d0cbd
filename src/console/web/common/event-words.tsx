// What an event says: its title in the reader's language, and the sentence of the node that tells it.
import './common.css';
import { Text } from '@mantine/core';
import { useTranslation } from 'react-i18next';

export interface EventWordsProps {
  readonly code: string;
  /** In English, as the node wrote it into its log. */
  readonly message: string;
}

/** A node of a newer version may tell of events that have no title here: its sentence has to do. */
export function EventWords({ code, message }: EventWordsProps) {
  const { t } = useTranslation('event-titles');
  const title = t(code, { defaultValue: '' });
  return (
    <div className="event-words">
      {title !== '' && (
        <Text size="sm" fw={600}>
          {title}
        </Text>
      )}
      <Text size="sm" lang="en">
        {message}
      </Text>
    </div>
  );
}
