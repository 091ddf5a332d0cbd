// Listens where a standby is expected, with a certificate of its own, and notes what it is told.
//
//   node impostor.ts PORT    prints a line of JSON per second: {"connections","bytes"}
import { createServer } from 'node:tls';
import { makeLinkIdentity } from './link-identity.ts';

const { certificate, key } = await makeLinkIdentity('b');
let connections = 0;
let bytes = 0;
const server = createServer(
  { cert: certificate, key, requestCert: true, rejectUnauthorized: false },
  (socket) => {
    socket.on('data', (chunk: Buffer) => {
      bytes += chunk.length;
    });
    socket.on('error', () => socket.destroy());
  },
);
server.on('connection', () => {
  connections += 1;
});
server.listen(Number(process.argv[2]), () => {
  setInterval(() => console.log(JSON.stringify({ connections, bytes })), 250);
});
