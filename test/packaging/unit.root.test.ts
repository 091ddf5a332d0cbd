// The units of packaging/ in a systemd of its own (a user's manager in namespaces, on machines that have none running),
// with programs in the place of the service and of "understudy leave".
import { spawnSync } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { shell } from '../support/shell.ts';

const PACKAGING = resolve(import.meta.dirname, '../../packaging');
const MANAGER = '/usr/lib/systemd/systemd';
const isHere = existsSync(MANAGER) && spawnSync('systemctl', ['--version']).status === 0;
const hasSystemd = isHere && !existsSync('/run/systemd/system');

let top = '';
beforeEach(() => {
  top = mkdtempSync(join(tmpdir(), 'understudy-unit-'));
});
afterEach(() => {
  // The control group that the manager was in itself; one that is in use stays.
  shell('rmdir /sys/fs/cgroup/*/init.scope 2>/dev/null || true');
  rmSync(top, { recursive: true });
});

/** Runs `script` beside the manager; `program` is what the service starts, `leaving` what runs before a shutdown. */
function underSystemd(program: string, script: string, leaving = 'true'): string {
  install(
    'understudyd',
    `[Unit]\nConditionPathExists=\n[Service]\nRestartSec=20ms\nExecStart=\nExecStart=/bin/sh -c '${program}'\n`,
  );
  install('understudy-leave', `[Service]\nExecStop=\nExecStop=/bin/sh -c '${leaving}'\n`);
  const inside = join(top, 'inside.sh');
  writeFileSync(
    inside,
    `mount -t tmpfs none /run; mkdir -p /run/systemd/system /run/own; chmod 700 /run/own
    export XDG_RUNTIME_DIR=/run/own XDG_CONFIG_HOME=${top}/config XDG_CACHE_HOME=${top}/cache XDG_STATE_HOME=${top}/state
    timeout 60 ${MANAGER} --user >${top}/manager.log 2>&1 &
    for try in $(seq 100); do [ -S /run/own/systemd/private ] && break; sleep 0.1; done
    ${script}
    systemctl --user exit; wait`,
  );
  return shell(`timeout 60 unshare -m -p -f --mount-proc --kill-child sh ${inside} 2>&1`);
}

function install(unit: string, standIn: string): void {
  const units = join(top, 'config', 'systemd', 'user');
  mkdirSync(join(units, `${unit}.service.d`), { recursive: true });
  symlinkSync(join(PACKAGING, `${unit}.service`), join(units, `${unit}.service`));
  writeFileSync(join(units, `${unit}.service.d`, 'stand-in.conf'), standIn);
}

test.skipIf(!hasSystemd)(
  'a service that cannot start yet (an address that comes late, a full disk) is tried until it can',
  () => {
    const starts = join(top, 'starts');
    writeFileSync(starts, '');
    underSystemd(
      `echo x >>${starts}; exit 1`,
      `systemctl --user start understudyd
      for try in $(seq 300); do [ "$(wc -l <${starts})" -gt 12 ] && break; sleep 0.05; done`,
    );
    expect(readFileSync(starts, 'utf8').split('\n').length).toBeGreaterThan(12);
  },
);

test.skipIf(!hasSystemd)('processes of groups outlive a stop of the service', () => {
  const said = underSystemd(
    `setsid sleep 900 & echo $! >${top}/group; exec sleep 901`,
    `systemctl --user start understudyd
    for try in $(seq 100); do [ -s ${top}/group ] && break; sleep 0.1; done
    ls -d /run/own/understudy; systemctl --user stop understudyd; sleep 0.5
    kill -0 "$(cat ${top}/group)" && echo lives; ls -d /run/own/understudy; kill "$(cat ${top}/group)"`,
  );
  expect(said.trim().split('\n')).toEqual(['/run/own/understudy', 'lives', '/run/own/understudy']);
});

test.skipIf(!hasSystemd)(
  'a machine that shuts down hands over first, while the service runs',
  () => {
    const order = join(top, 'order');
    underSystemd(
      `trap "echo service ends >>${order}; exit 0" TERM; while :; do sleep 0.1; done`,
      `systemctl --user start understudyd understudy-leave; sleep 0.5
    systemctl --user restart understudyd; echo restarted >>${order}`,
      `sleep 0.5; echo handed over >>${order}`,
    );
    const said = readFileSync(order, 'utf8').trim().split('\n');
    expect(said).toEqual(['service ends', 'restarted', 'handed over', 'service ends']);
  },
);
