// A TCP relay that can be cut: at once, or after so many bytes, in the middle of anything.
import { connect, createServer, type Server, type Socket } from 'node:net';

export class CuttingRelay {
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  #isOpen = true;
  /** Bytes, both directions together, after which a new connection is cut; asked once for each. */
  budget: () => number = () => Number.POSITIVE_INFINITY;
  /** What the target says is lost, and nobody is told. */
  isMute = false;
  connections = 0;
  cuts = 0;

  constructor(targetPort: number) {
    this.#server = createServer((near) => this.#relay(near, targetPort));
  }

  async listen(): Promise<number> {
    await new Promise<void>((resolve) => {
      this.#server.listen(0, '127.0.0.1', resolve);
    });
    const address = this.#server.address();
    return typeof address === 'object' && address !== null ? address.port : 0;
  }

  /** Cuts what is connected and lets nothing through until {@link mend}. */
  cut(): void {
    this.#isOpen = false;
    for (const socket of this.#sockets) socket.destroy();
  }

  mend(): void {
    this.#isOpen = true;
  }

  async close(): Promise<void> {
    this.cut();
    await new Promise<void>((resolve) => {
      this.#server.close(() => resolve());
    });
  }

  #relay(near: Socket, port: number): void {
    near.on('error', () => near.destroy());
    if (!this.#isOpen) {
      near.destroy();
      return;
    }
    this.connections += 1;
    const far = connect(port, '127.0.0.1');
    let left = this.budget();
    const forward = (from: Socket, to: Socket): void => {
      this.#sockets.add(from);
      from.setNoDelay(true);
      from.on('data', (chunk: Buffer) => {
        if (this.isMute && from === far) return;
        const allowed = Math.min(chunk.length, left);
        left -= allowed;
        const flowing = to.write(chunk.subarray(0, allowed));
        if (allowed < chunk.length) {
          this.cuts += 1;
          to.end();
          from.destroy();
          near.destroySoon();
          far.destroySoon();
        } else if (!flowing) {
          from.pause();
          to.once('drain', () => from.resume());
        }
      });
      from.on('error', () => from.destroy());
      from.on('close', () => {
        this.#sockets.delete(from);
        to.destroy();
      });
    };
    forward(near, far);
    forward(far, near);
  }
}
