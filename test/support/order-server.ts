// A small application that may need another one: counts what it is told in a file, and notes each start.
//
//   node order-server.ts NAME PORT DIRECTORY ADDRESS [PORT OF THE OTHER]
import { closeSync, fsyncSync, openSync, readFileSync, writeSync } from 'node:fs';
import { createServer } from 'node:http';
import { networkInterfaces } from 'node:os';
import { join } from 'node:path';

const [name = '', port = '', directory = '', address = '', other] = process.argv.slice(2);
const counted = join(directory, `${name}.log`);

function append(path: string, line: string): void {
  const fd = openSync(path, 'a');
  writeSync(fd, `${line}\n`);
  fsyncSync(fd);
  closeSync(fd);
}

function count(): number {
  try {
    return readFileSync(counted, 'utf8').split('\n').length - 1;
  } catch {
    return 0;
  }
}

async function ask(path: string): Promise<string> {
  if (other === undefined) {
    if (path === '/add') append(counted, 'one');
    return String(count());
  }
  return (await fetch(`http://127.0.0.1:${other}${path}`)).text();
}

if (other !== undefined) await ask('/count');
const hasAddress = Object.values(networkInterfaces())
  .flat()
  .some((one) => one?.address === address);
append(join(directory, 'starts.log'), `${name} ${hasAddress ? 'with' : 'without'} address`);
createServer((request, response) => {
  ask(request.url ?? '').then(
    (text) => response.end(text),
    (failure: unknown) => response.writeHead(502).end(String(failure)),
  );
}).listen(Number(port), '0.0.0.0');
