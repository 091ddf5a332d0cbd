import { expect, test } from 'vitest';
import { parseGroupInput } from '../../../service/group-definition.ts';
import {
  emptyDraft,
  emptyPath,
  faultAt,
  fromProposal,
  groupInput,
  isManaged,
  missingOn,
  nextKey,
  stepOf,
  type WizardDraft,
} from './draft.ts';

const nodes = { own: 'a', peer: 'b' };
const command = {
  name: 'command',
  title: 'Commands',
  description: '',
  defaults: {},
  excludes: [],
  functions: [],
  parameters: { properties: { start: { type: 'string' }, stop: { type: 'string' } } },
};
const draft: WizardDraft = {
  ...emptyDraft('self'),
  name: ' shop ',
  paths: [{ ...emptyPath(0), dir: '/srv/shop', exclude: '*.tmp\n\ncache/**' }],
};

test('the least: a name and a directory; nothing decides about roles', () => {
  const input = groupInput(draft, [], nodes);
  expect(input).toEqual({
    name: 'shop',
    paths: [{ dir: '/srv/shop', exclude: ['*.tmp', 'cache/**'] }],
    replication: { mode: 'sync', onStandbyLoss: 'continue', bandwidth: 'unlimited' },
    verify: '7d',
  });
  expect(() => parseGroupInput(input, 'test')).not.toThrow();
});

test('everything: the service takes what the wizard makes', () => {
  const full: WizardDraft = {
    ...draft,
    isSeed: true,
    agents: [{ key: 0, use: 'command', values: { start: 'systemctl start shop', stop: '' } }],
    addresses: [
      { key: 0, ip: '192.0.2.10/24', interface: 'eth0', peerInterface: '' },
      { key: 1, ip: '192.0.2.11/24', interface: 'eth0', peerInterface: 'ens1' },
    ],
    isAutomatic: true,
    arbiter: 'etcd',
    etcd: 'https://e1:2379\nhttps://e2:2379',
    profile: 'fast',
  };
  const input = groupInput(full, [command], nodes);
  expect(() => parseGroupInput(input, 'test')).not.toThrow();
  expect(input).toMatchObject({
    seed: true,
    agents: [{ use: 'command', start: 'systemctl start shop' }],
    addresses: [{ interface: 'eth0' }, { interface: { a: 'eth0', b: 'ens1' } }],
    failover: {
      automatic: true,
      arbiter: 'etcd',
      etcd: { endpoints: ['https://e1:2379', 'https://e2:2379'] },
      profile: 'fast',
    },
  });
});

test('an address or an application makes it a managed group', () => {
  expect(isManaged(draft)).toBe(false);
  const address = { key: 0, ip: '', interface: '', peerInterface: '' };
  expect(isManaged({ ...draft, addresses: [address] })).toBe(true);
  expect(isManaged({ ...draft, agents: [{ key: 0, use: 'tcp', values: {} }] })).toBe(true);
});

test('what discovery proposes fills the steps', () => {
  const proposal = {
    title: 'Shop',
    found: 'it listens',
    isRunning: true,
    pid: 1,
    notes: ['stop it first'],
    group: {
      name: 'found',
      paths: [{ dir: '/srv/found', exclude: ['*.pid'] }],
      agents: [{ use: 'command', start: 'run' }],
    },
  };
  const filled = fromProposal(draft, proposal, [command]);
  expect(filled).toMatchObject({
    name: 'found',
    notes: ['stop it first'],
    paths: [{ dir: '/srv/found', exclude: '*.pid' }],
    agents: [{ use: 'command', values: { start: 'run' } }],
  });
});

test.each([
  ['name', 'source'],
  ['paths[0].standbyDir', 'directories'],
  ['agents[1].port', 'application'],
  ['addresses', 'address'],
  ['replication.port', 'protection'],
  ['schedule[0].days', 'protection'],
  ['failover.arbiter', 'protection'],
  ['verify', 'protection'],
  ['nonsense', undefined],
])('the fault at %s is shown on step %s', (field, step) => {
  expect(stepOf(field)).toBe(step);
});

test('a fault below a field that is shown as a whole', () => {
  const faults = { 'addresses[0].ip': 'taken' };
  expect(faultAt(faults, 'addresses[0].ip')).toBe('taken');
  expect(faultAt(faults, 'addresses')).toBeUndefined();
  expect(faultAt(faults, 'addresses', true)).toBe('taken');
});

test('what is missing is said on its step', () => {
  expect(missingOn('source', emptyDraft('x'))).toEqual(['name']);
  expect(missingOn('directories', emptyDraft('x'))).toEqual(['paths[0].dir']);
  expect(missingOn('directories', draft)).toEqual([]);
  expect(nextKey([{ key: 4 }, { key: 2 }])).toBe(5);
});
