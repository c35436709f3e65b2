import { once, setMaxListeners } from 'node:events';
import { unlink } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { parseAllDocuments } from 'yaml';
import { type Clock, realClock } from '../core/clock.ts';
import type { Prefix } from '../core/ip.ts';
import { prefix } from '../core/ip.ts';
import { type Api, createApi } from './api.ts';
import { createEndpointSlices } from './endpoint-slices.ts';
import { type HttpContext, serveRequest } from './http.ts';
import { createLists } from './lists.ts';
import { ApiError, asObjects, isJsonObject, type KubeObject } from './objects.ts';
import { resourceOfKind } from './resources.ts';
import { createStorage } from './storage.ts';

/**
 * A small Kubernetes API server for development and tests: the real protocol (list, watch,
 * optimistic concurrency, patches, bookmarks, 410) over memory, without authentication. It gives
 * Services their addresses and EndpointSlices; nothing else runs in it.
 */
export interface ApiServer extends AsyncDisposable {
  /** `http://ADDRESS:PORT` when it listens on TCP, otherwise `unix:PATH`. */
  readonly url: string;
  /** The verbs without HTTP: for tests and benches in the same process. */
  readonly api: Api;
  /** Creates or replaces every object of a YAML text, namespaces that are missing included. */
  load(yamlText: string): readonly KubeObject[];
  /** Brings the EndpointSlices up to date now, without waiting for the next turn. */
  flush(): void;
  /** Forgets the history: running watches go on, every resumption and every next page is 410. */
  compact(): void;
  /** Ends all running watches, as a restart of the server does. */
  endWatches(): void;
}

export interface ApiServerOptions {
  /** Port 0 lets the kernel choose. Default: 127.0.0.1, port 0, unless there is a `socketPath`. */
  readonly listen?: { readonly address: string; readonly port: number };
  readonly socketPath?: string;
  /** One or two; the first one's family is the default. */
  readonly serviceCidrs?: readonly Prefix[];
  readonly clock?: Clock;
  /** Changes remembered for each resource. */
  readonly historyLimit?: number;
  readonly bookmarkMs?: number;
  /** False behaves as a server before Kubernetes 1.32. */
  readonly watchList?: boolean;
  /** False leaves EndpointSlices to the caller. */
  readonly endpointSlices?: boolean;
}

/** What `/version` says: the release whose behaviour is followed. */
const version = 'v1.33.0';
const firstNamespaces = ['default', 'kube-system', 'kube-public', 'kube-node-lease'];

export async function createApiServer(options: ApiServerOptions = {}): Promise<ApiServer> {
  const clock = options.clock ?? realClock;
  const serviceCidrs = options.serviceCidrs ?? [prefix('10.96.0.0/16'), prefix('fd00:10:96::/108')];
  const storage = createStorage({ historyLimit: options.historyLimit ?? 10_000 });
  const api = createApi(storage, { serviceCidrs, clock });
  for (const name of firstNamespaces) ensureNamespace(api, name);
  const slices = options.endpointSlices === false ? undefined : createEndpointSlices(api, clock);
  const lists = createLists(storage);
  let ending = createEnding();
  const fixed = { api, lists, clock, version };
  const bookmarkMs = options.bookmarkMs ?? 60_000;
  const watchList = options.watchList !== false;
  const context: HttpContext = {
    ...fixed,
    bookmarkMs,
    watchList,
    get signal() {
      return ending.signal;
    },
  };
  const { servers, url } = await listenAll(options, context);
  return {
    url,
    api,
    load: (text) => loadYaml(api, text),
    flush: () => slices?.flush(),
    compact() {
      storage.compact();
      lists.expire();
    },
    endWatches() {
      ending.abort();
      ending = createEnding();
    },
    async [Symbol.asyncDispose]() {
      ending.abort();
      slices?.close();
      await Promise.all(servers.map(closeServer));
    },
  };
}

/** Ends watches: any number of them listen, which is no leak. */
function createEnding(): AbortController {
  const ending = new AbortController();
  setMaxListeners(0, ending.signal);
  return ending;
}

async function listenAll(
  options: ApiServerOptions,
  context: HttpContext,
): Promise<{ readonly servers: readonly Server[]; readonly url: string }> {
  const { socketPath } = options;
  const servers: Server[] = [];
  let url = `unix:${socketPath ?? ''}`;
  if (socketPath !== undefined) {
    await removeSocket(socketPath);
    servers.push(await listen(context, { path: socketPath }));
  }
  if (options.listen !== undefined || socketPath === undefined) {
    const { address, port } = options.listen ?? { address: '127.0.0.1', port: 0 };
    const server = await listen(context, { host: address, port });
    servers.push(server);
    const bound = server.address() as AddressInfo;
    url = `http://${address.includes(':') ? `[${address}]` : address}:${bound.port}`;
  }
  return { servers, url };
}

async function listen(
  context: HttpContext,
  where: { readonly path: string } | { readonly host: string; readonly port: number },
): Promise<Server> {
  const server = createServer((request, response) => {
    // serveRequest answers every failure itself, so nothing is lost here.
    void serveRequest(request, response, context);
  });
  // Watches stay open for as long as the client asks for.
  server.requestTimeout = 0;
  server.listen(where);
  await once(server, 'listening');
  return server;
}

async function closeServer(server: Server): Promise<void> {
  const closed = once(server, 'close');
  server.close();
  server.closeAllConnections();
  await closed;
}

async function removeSocket(path: string): Promise<void> {
  try {
    await unlink(path);
  } catch (error) {
    // Absent is what we want; any other reason shows when we listen.
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
  }
}

function loadYaml(api: Api, text: string): readonly KubeObject[] {
  const loaded: KubeObject[] = [];
  for (const document of parseAllDocuments(text)) {
    const [problem] = document.errors;
    if (problem !== undefined) throw new ApiError(400, 'BadRequest', problem.message);
    const value: unknown = document.toJS();
    if (!isJsonObject(value)) continue;
    const bodies = value.kind === 'List' ? asObjects(value.items) : [value];
    for (const body of bodies) loaded.push(loadObject(api, body as KubeObject));
  }
  return loaded;
}

function loadObject(api: Api, body: KubeObject): KubeObject {
  const { namespace } = body.metadata;
  if (namespace !== undefined) ensureNamespace(api, namespace);
  return api.upsert(body);
}

function ensureNamespace(api: Api, name: string): void {
  const resource = resourceOfKind('v1', 'Namespace');
  if (resource === undefined || api.storage.get(resource, name) !== undefined) return;
  api.create(resource, { metadata: { name } });
}
