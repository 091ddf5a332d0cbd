// Stand-in for mail servers: the first lines of SMTP (RFC 5321, 3207) and IMAP (RFC 9051).
import type { Socket } from 'node:net';
import { TLSSocket } from 'node:tls';
import { serve, type StandIn } from './serve.ts';

export interface MailOptions {
  readonly greeting?: string;
  readonly offersTls?: boolean;
  readonly identity?: { readonly key: string; readonly certificate: string };
}

export async function smtpServer(options: MailOptions = {}): Promise<StandIn> {
  const { greeting = '220 mail.example.net ESMTP ready' } = options;
  return await serve((socket) => {
    socket.write(`${greeting}\r\n`);
    converse(
      socket,
      (line, stream, isTls) => {
        if (/^EHLO /i.test(line)) {
          const tls = options.offersTls === true && !isTls ? '250-STARTTLS\r\n' : '';
          stream.write(`250-mail.example.net\r\n${tls}250 SIZE 10000000\r\n`);
        } else if (/^STARTTLS$/i.test(line)) {
          stream.write('220 go ahead\r\n');
          return 'tls';
        } else {
          stream.end('221 bye\r\n');
        }
        return undefined;
      },
      options,
    );
  });
}

export async function imapServer(options: MailOptions = {}): Promise<StandIn> {
  const { greeting = '* OK IMAP4rev2 ready' } = options;
  return await serve((socket) => {
    socket.write(`${greeting}\r\n`);
    converse(
      socket,
      (line, stream, isTls) => {
        const [tag = '', command = ''] = line.split(' ');
        if (command === 'CAPABILITY') {
          const tls = options.offersTls === true && !isTls ? ' STARTTLS' : '';
          stream.write(`* CAPABILITY IMAP4rev2${tls}\r\n${tag} OK done\r\n`);
        } else if (command === 'STARTTLS') {
          stream.write(`${tag} OK begin\r\n`);
          return 'tls';
        } else {
          stream.end(`* BYE\r\n${tag} OK bye\r\n`);
        }
        return undefined;
      },
      options,
    );
  });
}

type Answer = (line: string, stream: Socket, isTls: boolean) => 'tls' | undefined;

function converse(socket: Socket, answer: Answer, { identity }: MailOptions, isTls = false): void {
  let rest = '';
  const onData = (chunk: Buffer): void => {
    const lines = (rest + chunk.toString('latin1')).split('\r\n');
    rest = lines.pop() ?? '';
    for (const line of lines) {
      if (answer(line, socket, isTls) !== 'tls' || identity === undefined) continue;
      socket.off('data', onData);
      const { key, certificate } = identity;
      const secured = new TLSSocket(socket, { isServer: true, key, cert: certificate });
      secured.on('error', () => undefined);
      converse(secured, answer, {}, true);
    }
  };
  socket.on('data', onData);
}
