// The frame around all pages: navigation, who is logged in, and whether what is shown is up to date.
import { ActionIcon, AppShell, Burger, Group, Menu, NavLink, Text, Tooltip } from '@mantine/core';
import { useDisclosure } from '@mantine/hooks';
import {
  IconBell,
  IconBook,
  IconLayoutDashboard,
  IconListDetails,
  IconLogout,
  IconPlus,
  IconServer2,
  IconUser,
  IconUsers,
} from '@tabler/icons-react';
import { useEffect, useRef } from 'react';
import { useTranslation } from 'react-i18next';
import { Link, useLocation } from 'wouter';
import type { AccessRole } from '../../../service/admin-api/caller.ts';
import { ConnectionBanner, ConnectionBadge } from './connection.tsx';
import { LiveProvider } from './fleet-data.tsx';
import icon from './icon.svg';
import { LookMenu } from './look-menu.tsx';
import { mayDo } from './roles.ts';
import { Routes } from './routes.tsx';
import { useSession, useSessionState } from './session.tsx';

const PLACES: readonly {
  readonly to: string;
  readonly label: string;
  readonly icon: typeof IconBell;
  readonly role: AccessRole;
}[] = [
  { to: '/', label: 'nav.fleet', icon: IconLayoutDashboard, role: 'viewer' },
  { to: '/nodes', label: 'nav.nodes', icon: IconServer2, role: 'viewer' },
  { to: '/events', label: 'nav.events', icon: IconListDetails, role: 'viewer' },
  { to: '/alerts', label: 'nav.alerts', icon: IconBell, role: 'viewer' },
  { to: '/create', label: 'nav.create', icon: IconPlus, role: 'administrator' },
  { to: '/administration', label: 'nav.administration', icon: IconUsers, role: 'administrator' },
];

export function Shell() {
  const { t } = useTranslation();
  const [isOpen, { toggle, close }] = useDisclosure();
  const main = useRef<HTMLElement>(null);
  const [location] = useLocation();
  useEffect(() => {
    close();
    window.scrollTo(0, 0);
  }, [close, location]);
  return (
    <LiveProvider>
      <a
        href="#main"
        className="skip-link"
        onClick={(event) => {
          event.preventDefault();
          main.current?.focus();
        }}
      >
        {t('skip')}
      </a>
      <AppShell
        header={{ height: 56 }}
        navbar={{ width: 220, breakpoint: 'sm', collapsed: { mobile: !isOpen } }}
        padding={{ base: 'sm', sm: 'lg' }}
      >
        <AppShell.Header>
          <Header isOpen={isOpen} toggle={toggle} />
        </AppShell.Header>
        <AppShell.Navbar p="xs" aria-label={t('nav.label')}>
          <Navigation location={location} />
        </AppShell.Navbar>
        <AppShell.Main id="main" tabIndex={-1} ref={main}>
          <ConnectionBanner />
          <Routes />
        </AppShell.Main>
      </AppShell>
    </LiveProvider>
  );
}

function Header({ isOpen, toggle }: { readonly isOpen: boolean; readonly toggle: () => void }) {
  const { t } = useTranslation();
  return (
    <Group h="100%" px="md" justify="space-between" wrap="nowrap">
      <Group gap="sm" wrap="nowrap">
        <Burger
          opened={isOpen}
          onClick={toggle}
          hiddenFrom="sm"
          size="sm"
          aria-label={t('nav.label')}
          aria-expanded={isOpen}
        />
        <Link href="/" className="brand" aria-label={t('nav.home')}>
          <img src={icon} alt="" width={28} height={28} />
          <Text fw={650} visibleFrom="xs" component="span">
            Understudy
          </Text>
        </Link>
      </Group>
      <Group gap="xs" wrap="nowrap">
        <ConnectionBadge />
        <LookMenu />
        <UserMenu />
      </Group>
    </Group>
  );
}

function Navigation({ location }: { readonly location: string }) {
  const { t } = useTranslation();
  const { role, version } = useSession();
  return (
    <>
      {PLACES.filter((place) => mayDo(role, place.role)).map(({ to, label, icon: Icon }) => {
        const isHere = to === '/' ? isFleet(location) : location.startsWith(to);
        return (
          <NavLink
            component={Link}
            href={to}
            key={to}
            label={t(label)}
            leftSection={<Icon size={18} stroke={1.6} aria-hidden />}
            active={isHere}
            aria-current={isHere ? 'page' : undefined}
          />
        );
      })}
      <NavLink
        href="/api/console/docs"
        target="_blank"
        rel="noreferrer"
        label={t('nav.api')}
        leftSection={<IconBook size={18} stroke={1.6} aria-hidden />}
      />
      <Text size="xs" c="dimmed" mt="auto" p="xs">
        Understudy {version}
      </Text>
    </>
  );
}

/** Groups are reached from the fleet. */
const isFleet = (location: string): boolean => location === '/' || location.startsWith('/groups');

function UserMenu() {
  const { t } = useTranslation();
  const { user, role } = useSession();
  const { end } = useSessionState();
  return (
    <Menu position="bottom-end" withinPortal>
      <Menu.Target>
        <Tooltip label={user}>
          <ActionIcon
            variant="subtle"
            color="gray"
            size="lg"
            aria-label={t('nav.account', { user })}
          >
            <IconUser size={20} stroke={1.6} aria-hidden />
          </ActionIcon>
        </Tooltip>
      </Menu.Target>
      <Menu.Dropdown>
        <Menu.Label>
          {user} · {t(`role.${role}`)}
        </Menu.Label>
        <Menu.Item
          component={Link}
          href="/account"
          leftSection={<IconUser size={16} aria-hidden />}
        >
          {t('nav.myAccount')}
        </Menu.Item>
        <Menu.Item leftSection={<IconLogout size={16} aria-hidden />} onClick={() => void end()}>
          {t('nav.logout')}
        </Menu.Item>
      </Menu.Dropdown>
    </Menu>
  );
}
