// How this machine is: what the node page of a console shows.
import { hostname, release } from 'node:os';
import { z } from 'zod';
import { once } from '../admin-api/once.ts';
import { nodeInfoSchema } from '../node-protocol.ts';
import type { NodeService } from '../node-service.ts';
import { diskSchema, DiskWatch, fileSystemSchema, FileSystemWatch } from './disks.ts';
import { networkCards, networkCardSchema } from './network-cards.ts';
import { processSchema, understudyProcesses } from './processes.ts';
import { memory, memorySchema, processorSchema, ProcessorWatch } from './processor.ts';

export const nodeHealthSchema = once(() =>
  z.object({
    node: nodeInfoSchema,
    at: z.string(),
    hostname: z.string(),
    versions: z.object({ understudy: z.string(), node: z.string(), kernel: z.string() }),
    processor: processorSchema(),
    memory: memorySchema(),
    fileSystems: z.array(fileSystemSchema()),
    disks: z.array(diskSchema()),
    networkCards: z.array(networkCardSchema()),
    processes: z.array(processSchema()),
  }),
);
export type NodeHealth = z.infer<ReturnType<typeof nodeHealthSchema>>;

/** Remembers what shares and slow answers need. */
export class HealthWatch {
  readonly #service: NodeService;
  readonly #processor = new ProcessorWatch();
  readonly #disks = new DiskWatch();
  readonly #fileSystems = new FileSystemWatch();

  constructor(service: NodeService) {
    this.#service = service;
  }

  async look(): Promise<NodeHealth> {
    const { info, version } = this.#service;
    return {
      node: info,
      at: new Date().toISOString(),
      hostname: hostname(),
      versions: { understudy: version, node: process.version, kernel: release() },
      processor: this.#processor.look(),
      memory: memory(),
      fileSystems: await this.#fileSystems.look(),
      disks: this.#disks.disks(),
      networkCards: networkCards(),
      processes: understudyProcesses(this.#service),
    };
  }
}
