// node flood.ts SECONDS ADDRESS [ADDRESS…]
// Sends datagrams to the heartbeat port and to a closed one, and opens connections to the application
// without saying anything, as fast as this process can, and ends by itself.
import { createSocket } from 'node:dgram';
import { connect, type Socket } from 'node:net';

const HEARTBEAT_PORT = 7442;
const CLOSED_PORT = 9;
const APPLICATION_PORT = 8080;
const BURST = 64;
const CONNECTIONS_MAX = 200;

const [seconds = '5', ...targets] = process.argv.slice(2);
const socket = createSocket('udp4');
socket.on('error', () => {});
const payloads = [Buffer.alloc(264, 0x55), Buffer.alloc(1400, 0xaa)] as const;
const open = new Set<Socket>();
const endAt = performance.now() + Number(seconds) * 1000;

function knock(target: string): void {
  if (open.size >= CONNECTIONS_MAX) {
    for (const old of open) {
      old.destroy();
      open.delete(old);
      break;
    }
  }
  const connection = connect(APPLICATION_PORT, target);
  connection.on('error', () => open.delete(connection));
  open.add(connection);
}

function burst(): void {
  if (performance.now() > endAt) process.exit(0);
  for (const target of targets) {
    for (let count = 0; count < BURST; count += 1) {
      const port = count % 2 === 0 ? HEARTBEAT_PORT : CLOSED_PORT;
      socket.send(payloads[count % 2]!, port, target, () => {});
    }
    knock(target);
  }
  setImmediate(burst);
}

burst();
