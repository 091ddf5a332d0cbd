// Metadata of OCF agents: what real ones write, and what broken ones might.
import { describe, expect, test } from 'vitest';
import { parseOcfMetadata } from './metadata.ts';

const PGSQL = `<?xml version="1.0"?>
<!DOCTYPE resource-agent SYSTEM "ra-api-1.dtd">
<resource-agent name="pgsql" version="1.0">
<version>1.1</version>
<longdesc lang="en">
Resource script for PostgreSQL. It manages a PostgreSQL &amp; more as an HA resource.

Second paragraph.
</longdesc>
<shortdesc lang="en">Manages a PostgreSQL database instance</shortdesc>
<parameters>
<parameter name="pgctl" unique="0" required="0">
<longdesc lang="en">
Path to pg_ctl
command.
</longdesc>
<shortdesc lang="en">pgctl</shortdesc>
<content type="string" default="/usr/bin/pg_ctl" />
</parameter>
<parameter name="pgport" unique="0" required="1">
<shortdesc lang="en">pgport</shortdesc>
<content type="integer" default="5432" />
</parameter>
<parameter name="old" deprecated="1"><content type="boolean"/></parameter>
</parameters>
<actions>
<action name="start" timeout="120s" />
<action name="stop" timeout="60" />
<action name="monitor" depth="0" timeout="30s" interval="30s"/>
<action name="monitor" depth="0" timeout="1min" interval="29s" role="Promoted" />
<action name="promote" timeout="30s" />
<action name="meta-data" timeout="5s" />
</actions>
</resource-agent>
`;

test('parameters, types, defaults and times', () => {
  const metadata = parseOcfMetadata(PGSQL);
  expect(metadata).toMatchObject({
    name: 'pgsql',
    shortDescription: 'Manages a PostgreSQL database instance',
    monitorIntervalMs: 30_000,
    parameters: [
      {
        name: 'pgctl',
        type: 'string',
        isRequired: false,
        default: '/usr/bin/pg_ctl',
        description: 'Path to pg_ctl command.',
      },
      { name: 'pgport', type: 'integer', isRequired: true, default: '5432', description: 'pgport' },
      { name: 'old', type: 'boolean', isDeprecated: true, default: '' },
    ],
  });
  expect(metadata?.longDescription).toContain('PostgreSQL & more');
  expect(Object.fromEntries(metadata?.actionTimeoutsMs ?? [])).toEqual({
    start: 120_000,
    stop: 60_000,
    monitor: 60_000,
    promote: 30_000,
    'meta-data': 5000,
  });
});

test('an agent without parameters and actions', () => {
  const xml = '<resource-agent name="x"><parameters/><actions></actions></resource-agent>';
  expect(parseOcfMetadata(xml)).toMatchObject({ name: 'x', parameters: [] });
});

test('one that says its time twice: the longer holds', () => {
  const xml = `<resource-agent name="x"><actions><action name="stop" timeout="90s"/>
    <action name="stop" timeout="10s"/></actions></resource-agent>`;
  expect(parseOcfMetadata(xml)?.actionTimeoutsMs.get('stop')).toBe(90_000);
});

describe('what is no metadata', () => {
  test.each([
    [''],
    ['garbage'],
    ['<html><body>404</body></html>'],
    ['<resource-agent name="x"><parameters><parameter/></parameters></resource-agent>'],
    ['x'.repeat(2_000_000)],
  ])('%.40j', (xml) => {
    expect(parseOcfMetadata(xml)).toBeUndefined();
  });

  test('entities are not expanded without end', () => {
    const bomb = `<!DOCTYPE r [<!ENTITY a "${'x'.repeat(1000)}"><!ENTITY b "${'&a;'.repeat(1000)}"><!ENTITY c "${'&b;'.repeat(1000)}">]>
      <resource-agent name="x"><longdesc>&c;</longdesc></resource-agent>`;
    const metadata = parseOcfMetadata(bomb);
    expect((metadata?.longDescription ?? '').length).toBeLessThan(1_000_000);
  });
});
