// node main.ts --data DIRECTORY [--port 8080] [--host 0.0.0.0]
import { parseArgs } from 'node:util';
import { Ledger } from './ledger.ts';
import { createLedgerServer } from './server.ts';

const { values } = parseArgs({
  options: {
    data: { type: 'string' },
    port: { type: 'string', default: '8080' },
    host: { type: 'string', default: '0.0.0.0' },
  },
});
if (values.data === undefined) {
  console.error('usage: main.ts --data DIRECTORY [--port 8080] [--host 0.0.0.0]');
  process.exit(2);
}

const ledger = new Ledger(values.data);
const server = createLedgerServer(ledger);
server.listen(Number(values.port), values.host, () => {
  console.log(`ledger in ${values.data ?? ''} serves port ${values.port}`);
});

function stop(): void {
  server.close(() => {
    ledger.close();
  });
  server.closeAllConnections();
}
process.once('SIGTERM', stop);
process.once('SIGINT', stop);
