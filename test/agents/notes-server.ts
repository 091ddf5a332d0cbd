// A custom program as somebody has it: keeps notes in a file, each on disk before it is acknowledged.
//   node notes-server.ts DIRECTORY PORT      GET /add/KEY · GET /has/KEY
import { appendFileSync, closeSync, fsyncSync, openSync, readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { join } from 'node:path';

const [, , directory = '', port = ''] = process.argv;
const file = join(directory, 'notes');

createServer((request, response) => {
  const [, verb = '', key = ''] = (request.url ?? '').split('/');
  try {
    if (verb === 'add') {
      const fd = openSync(file, 'a');
      appendFileSync(fd, `${key}\n`);
      fsyncSync(fd);
      closeSync(fd);
      response.end('added');
    } else {
      response.end(readFileSync(file, 'utf8').split('\n').includes(key) ? 'yes' : 'no');
    }
  } catch (failure) {
    response.statusCode = 500;
    response.end(String(failure));
  }
}).listen(Number(port), '0.0.0.0');
