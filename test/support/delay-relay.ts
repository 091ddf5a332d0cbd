// A relay that hands on every byte of TCP connections some time later, in both directions: a long line.
//
//   node delay-relay.ts LISTEN-PORT HOST PORT DELAY-MS
import { connect, createServer, type Socket } from 'node:net';

/** What may be on the line at a time: bandwidth times delay of a fast one. */
const ON_THE_LINE_BYTES_MAX = 32 * 1024 * 1024;

const [listenPort = '', host = '', port = '', delay = '0'] = process.argv.slice(2);
const delayMs = Number(delay);

function forward(from: Socket, to: Socket): void {
  let bytes = 0;
  from.setNoDelay(true);
  from.on('data', (chunk: Buffer) => {
    bytes += chunk.length;
    if (bytes > ON_THE_LINE_BYTES_MAX) from.pause();
    setTimeout(() => {
      bytes -= chunk.length;
      if (from.isPaused() && bytes < ON_THE_LINE_BYTES_MAX / 2) from.resume();
      if (to.writable) to.write(chunk);
    }, delayMs);
  });
  from.on('error', () => from.destroy());
  from.on('close', () => {
    setTimeout(() => to.destroy(), delayMs);
  });
}

const server = createServer((near) => {
  const far = connect(Number(port), host);
  forward(near, far);
  forward(far, near);
});
server.listen(Number(listenPort), () => console.log('ready'));
