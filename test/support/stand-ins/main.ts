// Stand-ins as programs of their own, which can be frozen and killed: `node main.ts NAME` prints its ports as one
// line of JSON, and serves until it is ended.
import { makeLinkIdentity } from '../link-identity.ts';
import { exchangeServer } from './exchange-server.ts';
import { oracleListener } from './oracle-listener.ts';
import { sqlserverServer } from './sqlserver-server.ts';
import { sybaseServer } from './sybase-server.ts';

/** Login of those that know one. */
export const STAND_IN_LOGIN = { login: 'watch', password: 'secret' } as const;

export type StandInName = 'oracle' | 'sqlserver' | 'sybase' | 'exchange';

const starters: Readonly<Record<StandInName, () => Promise<Readonly<Record<string, number>>>>> = {
  // No session left: the most that a listener can say without an instance behind it.
  oracle: async () => ({ port: (await oracleListener(12_516)).port }),
  sqlserver: async () => {
    const databases = { master: 'ONLINE' };
    return { port: (await sqlserverServer({ ...STAND_IN_LOGIN, databases })).port };
  },
  sybase: async () => {
    const databases = ['master'];
    return { port: (await sybaseServer({ ...STAND_IN_LOGIN, databases })).port };
  },
  exchange: async () => {
    const server = await exchangeServer(await makeLinkIdentity('mail.example.net'));
    return { smtpPort: server.smtp.port, httpsPort: server.httpsPort };
  },
};

if (process.argv[1] === import.meta.filename) {
  const start = starters[process.argv[2] as StandInName];
  console.log(JSON.stringify(await start()));
}
