// The directories of a node, one after the other. Names come from the node's disk and are shown as text, whatever they contain.
import { Alert, Badge, Button, Group, Modal, Skeleton, Stack, Text } from '@mantine/core';
import { IconArrowUp, IconFile, IconFolder, IconLink } from '@tabler/icons-react';
import { useQuery } from '@tanstack/react-query';
import { useState } from 'react';
import { useTranslation } from 'react-i18next';
import type { Browsed, BrowsedEntry } from '../../../service/admin-api/browse.ts';
import { call, nodeRoute } from '../app/api.ts';
import { formatBytes } from '../app/format.ts';
import { Fault } from '../app/ui/fault.tsx';

export interface DirectoryBrowserProps {
  readonly isOpen: boolean;
  readonly onClose: () => void;
  /** Console id and name. */
  readonly node: string;
  readonly nodeName: string;
  /** Where it begins; `/` if that is no path. */
  readonly start: string;
  readonly onChoose: (dir: string) => void;
}

export function DirectoryBrowser(props: DirectoryBrowserProps) {
  const { isOpen, onClose, nodeName } = props;
  const { t } = useTranslation('wizard');
  return (
    <Modal opened={isOpen} onClose={onClose} title={t('browseTitle', { node: nodeName })} size="lg">
      {isOpen && <Browser {...props} />}
    </Modal>
  );
}

function Browser({ node, start, onChoose, onClose }: DirectoryBrowserProps) {
  const { t } = useTranslation('wizard');
  const [path, setPath] = useState(start.startsWith('/') ? start : '/');
  const found = useQuery({
    queryKey: ['browse', node, path],
    queryFn: async ({ signal }) =>
      call<Browsed>(nodeRoute(node, '/browse'), { query: { path }, signal }),
    staleTime: 2000,
  });
  const { data, error } = found;
  const parent = data?.parent ?? parentOf(path);
  return (
    <Stack>
      <Group gap="xs" wrap="nowrap">
        <Button
          variant="default"
          leftSection={<IconArrowUp size={16} aria-hidden />}
          disabled={path === '/'}
          onClick={() => setPath(parent)}
        >
          {t('up')}
        </Button>
        <Text className="path" fw={600} aria-live="polite" data-browsed>
          {path}
        </Text>
      </Group>
      {error !== null && <Fault error={error} />}
      {data === undefined ? (
        error === null && <Skeleton height={200} />
      ) : (
        <Entries
          data={data}
          onEnter={(name) => setPath(path === '/' ? `/${name}` : `${path}/${name}`)}
        />
      )}
      {data?.owner != null && <Alert color="yellow">{t('owned', { owner: data.owner })}</Alert>}
      <Group justify="flex-end">
        <Button variant="default" onClick={onClose}>
          {t('cancel')}
        </Button>
        <Button
          disabled={data === undefined || path === '/' || data.owner !== null}
          onClick={() => {
            onChoose(path);
            onClose();
          }}
        >
          {t('choose')}
        </Button>
      </Group>
    </Stack>
  );
}

function parentOf(path: string): string {
  return path.slice(0, path.lastIndexOf('/')) || '/';
}

function Entries({
  data,
  onEnter,
}: {
  readonly data: Browsed;
  readonly onEnter: (name: string) => void;
}) {
  const { t } = useTranslation('wizard');
  if (data.entries.length === 0) return <Text className="soft">{t('emptyDirectory')}</Text>;
  return (
    <>
      <ul className="entries" aria-label={data.path}>
        {data.entries.map((entry, index) => (
          // Names that are no text may look alike.
          <li key={`${index} ${entry.name}`}>
            <Entry entry={entry} onEnter={onEnter} />
          </li>
        ))}
      </ul>
      {data.isCut && <Text size="sm">{t('isCut', { count: data.entries.length })}</Text>}
    </>
  );
}

function Entry({
  entry,
  onEnter,
}: {
  readonly entry: BrowsedEntry;
  readonly onEnter: (name: string) => void;
}) {
  const { t } = useTranslation('wizard');
  const { name, kind, isText, size, owner } = entry;
  const words = (
    <>
      <span className="entry-name path">{name}</span>
      {owner !== null && (
        <Badge variant="light" color="gray" tt="none" className="level-badge">
          {owner}
        </Badge>
      )}
      {size !== null && (
        <Text size="xs" className="soft numbers" span>
          {formatBytes(size)}
        </Text>
      )}
    </>
  );
  if (kind === 'directory' && isText) {
    return (
      <button type="button" onClick={() => onEnter(name)}>
        <IconFolder size={18} aria-label={t('directory')} role="img" />
        {words}
      </button>
    );
  }
  const Icon = kind === 'symlink' ? IconLink : IconFile;
  return (
    <span className="entry soft">
      <Icon size={18} aria-label={t(`kind.${kind}`)} role="img" />
      {words}
    </span>
  );
}
