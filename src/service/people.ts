// Tells who of those that are no peers gets what on the TLS port: programs the API, browsers the console.
import type { PeopleHandler } from './node-api.ts';

/** What is the node's own; everything else is the console's. */
const API_PATHS = ['/api/v1/', '/api/openapi.json', '/api/docs', '/metrics'];

export interface LoadedConsole {
  readonly serve: PeopleHandler;
  readonly close: () => Promise<void>;
}

export class People {
  readonly #api: PeopleHandler;
  readonly #load: () => Promise<LoadedConsole | undefined>;
  #console: Promise<LoadedConsole | undefined> | undefined;

  constructor(api: PeopleHandler, load: () => Promise<LoadedConsole | undefined>) {
    this.#api = api;
    this.#load = load;
  }

  readonly serve: PeopleHandler = (request, response) => {
    const url = request.url ?? '';
    if (API_PATHS.some((path) => url.startsWith(path))) {
      this.#api(request, response);
      return;
    }
    this.#console ??= this.#load();
    this.#console.then(
      (loaded) => (loaded?.serve ?? this.#api)(request, response),
      () => {
        // The next one tries again: a file that was damaged may be mended by then.
        this.#console = undefined;
        response.writeHead(503, { 'content-type': 'text/plain' });
        response.end('the console cannot be started: see the log of understudyd\n');
      },
    );
  };

  async close(): Promise<void> {
    const loaded = await this.#console?.catch(() => undefined);
    await loaded?.close();
  }
}
