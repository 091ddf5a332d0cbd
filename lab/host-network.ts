// Changes to the cabling of a running lab: partitions and rates.
import { present } from '../src/core/assert.ts';
import { namespaceArguments } from './enter.ts';
import { interfaceOf, portOf, shapeArguments, switchRules } from './network.ts';
import { must } from './run.ts';
import type { HostState, LabState, NetworkName } from './state.ts';

/** Puts the partitions of `lab` into the switch. */
export async function applyRules(lab: LabState): Promise<void> {
  const inSwitch = namespaceArguments(present(lab.switch, 'switch').pid, ['net']);
  await must([...inSwitch, 'nft', '-f', '-'], { input: switchRules(lab) });
}

/** Limits both ends of a cable, or lifts the limit. */
export async function shapeCable(
  lab: LabState,
  host: HostState,
  network: NetworkName,
  rate: string | undefined,
): Promise<void> {
  const inSwitch = namespaceArguments(present(lab.switch, 'switch').pid, ['net']);
  const inHost = namespaceArguments(present(host.init, 'init').pid, ['net']);
  await must([...inSwitch, 'tc', ...shapeArguments(portOf(host.name, network), rate)]);
  await must([...inHost, 'tc', ...shapeArguments(interfaceOf(network), rate)]);
}
