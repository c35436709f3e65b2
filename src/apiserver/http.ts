import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Clock } from '../core/clock.ts';
import type { Api } from './api.ts';
import { discover } from './discovery.ts';
import { formatObject, formatPage, keyOf, type Lists, selectObjects } from './lists.ts';
import {
  ApiError,
  asNumber,
  asObject,
  asText,
  formatStatus,
  isJsonObject,
  type Json,
  type JsonObject,
  type KubeObject,
  objectKey,
} from './objects.ts';
import { jsonPatch, mergePatch, strategicPatch } from './patch.ts';
import { parseDeleteOptions, parseTarget, readBody, type Target } from './requests.ts';
import { parseSelectors } from './selectors.ts';
import { formatTable } from './tables.ts';
import { serveWatch } from './watches.ts';

/** What answering a request needs. */
export interface HttpContext {
  readonly api: Api;
  readonly lists: Lists;
  readonly clock: Clock;
  readonly bookmarkMs: number;
  /** Answer WatchList requests; false is a server before Kubernetes 1.32. */
  readonly watchList: boolean;
  /** As `gitVersion` of `/version`. */
  readonly version: string;
  /** Ends all watches. */
  readonly signal: AbortSignal;
}

/** Answers one request; a refused one gets a Status object. */
export async function serveRequest(
  request: IncomingMessage,
  response: ServerResponse,
  context: HttpContext,
): Promise<void> {
  try {
    await answer(request, response, context);
  } catch (error) {
    const known =
      error instanceof ApiError
        ? error
        : new ApiError(500, 'InternalError', String(error), { cause: error });
    if (response.headersSent) response.destroy();
    else sendJson(response, known.code, formatStatus(known));
  }
}

async function answer(
  request: IncomingMessage,
  response: ServerResponse,
  context: HttpContext,
): Promise<void> {
  const url = new URL(request.url ?? '/', 'http://apiserver');
  const path = url.pathname.length > 1 ? url.pathname.replace(/\/+$/, '') : url.pathname;
  if (path === '/healthz' || path === '/readyz' || path === '/livez') {
    response.writeHead(200, { 'content-type': 'text/plain' }).end('ok');
    return;
  }
  const found = request.method === 'GET' ? discover(path, context.version) : undefined;
  if (found !== undefined) return sendJson(response, 200, found);
  const target = parseTarget(path);
  if (target === undefined) {
    throw new ApiError(404, 'NotFound', 'the server could not find the requested resource');
  }
  if ((url.searchParams.get('dryRun') ?? '') !== '') {
    throw new ApiError(400, 'BadRequest', 'this server has no dry run');
  }
  if (target.name === '') {
    return answerCollection(request, response, target, url.searchParams, context);
  }
  await answerObject(request, response, target, url.searchParams, context);
}

async function answerCollection(
  request: IncomingMessage,
  response: ServerResponse,
  target: Target,
  query: URLSearchParams,
  context: HttpContext,
): Promise<void> {
  const { api } = context;
  const { resource, namespace } = target;
  switch (request.method) {
    case 'GET': {
      const watch = query.get('watch') ?? '';
      if (watch === '1' || watch === 'true') return startWatch(response, target, query, context);
      return sendList(request, response, target, query, context);
    }
    case 'POST': {
      const body = await readBody(request);
      const scope = resource.namespaced ? namespace || 'default' : undefined;
      return sendObject(request, response, 201, target, api.create(resource, body, scope), context);
    }
    case 'DELETE': {
      const options = parseDeleteOptions(query, await readBody(request));
      const matches = selectorsOf(query);
      const objects = selectObjects(api.storage, resource, namespace, matches);
      for (const object of objects) api.remove(resource, objectKey(object), options.graceSeconds);
      return sendJson(response, 200, { kind: 'Status', apiVersion: 'v1', status: 'Success' });
    }
    default:
      throw methodNotAllowed(request);
  }
}

function startWatch(
  response: ServerResponse,
  target: Target,
  query: URLSearchParams,
  context: HttpContext,
): void {
  const initial = query.get('sendInitialEvents') === 'true';
  if (initial && !context.watchList) {
    const text =
      'sendInitialEvents: Forbidden: sendInitialEvents is forbidden for watch unless the WatchList feature gate is enabled';
    throw new ApiError(422, 'Invalid', text);
  }
  const resourceVersion = query.get('resourceVersion') ?? '';
  const { revision } = context.api.storage;
  // A real server stays silent until it has come so far. This one forgets everything when it is
  // restarted, and its clients must notice.
  if (Number(resourceVersion) > revision) {
    const text = `Too large resource version: ${resourceVersion}, current: ${revision}`;
    throw new ApiError(504, 'Timeout', text);
  }
  const watch = {
    resource: target.resource,
    namespace: target.namespace,
    matches: selectorsOf(query),
    resourceVersion,
    bookmarks: query.get('allowWatchBookmarks') === 'true',
    sendInitialEvents: initial,
    timeoutSeconds: Number(query.get('timeoutSeconds') ?? '0'),
  };
  const { clock, bookmarkMs } = context;
  const { storage } = context.api;
  serveWatch(response, watch, { storage, clock, bookmarkMs }, context.signal);
}

function sendList(
  request: IncomingMessage,
  response: ServerResponse,
  target: Target,
  query: URLSearchParams,
  context: HttpContext,
): void {
  const { lists, clock } = context;
  const limit = Math.max(0, Number(query.get('limit') ?? '0'));
  const token = query.get('continue') ?? '';
  const page =
    token === ''
      ? lists.firstPage(target.resource, target.namespace, selectorsOf(query), limit)
      : lists.nextPage(token, limit);
  if (wantsTable(request)) {
    const more = page.continueToken === '' ? {} : { continue: page.continueToken };
    const metadata = { resourceVersion: String(page.revision), ...more };
    sendJson(response, 200, formatTable(target.resource, page.items, metadata, clock.now()));
    return;
  }
  response.writeHead(200, { 'content-type': 'application/json' });
  for (const piece of formatPage(target.resource, page)) response.write(piece);
  response.end();
}

async function answerObject(
  request: IncomingMessage,
  response: ServerResponse,
  target: Target,
  query: URLSearchParams,
  context: HttpContext,
): Promise<void> {
  const { api } = context;
  const { resource, subresource } = target;
  const key = keyOf(target.namespace, target.name);
  const known = resource.subresources.some((name) => name === subresource);
  if (subresource !== '' && !known) {
    throw new ApiError(404, 'NotFound', `${resource.plural} have no ${subresource} here`);
  }
  switch (request.method) {
    case 'GET':
      return sendObject(request, response, 200, target, api.get(resource, key), context);
    case 'PUT': {
      const body = await readBody(request);
      return sendObject(request, response, 200, target, replace(api, target, key, body), context);
    }
    case 'PATCH': {
      const body = await readBody(request);
      const type = request.headers['content-type'] ?? '';
      return sendObject(
        request,
        response,
        200,
        target,
        patch(api, target, key, body, type),
        context,
      );
    }
    case 'DELETE': {
      const options = parseDeleteOptions(query, await readBody(request));
      const { uid, resourceVersion } = api.get(resource, key).metadata;
      const mismatch =
        (options.uid !== '' && options.uid !== uid) ||
        (options.resourceVersion !== '' && options.resourceVersion !== resourceVersion);
      if (mismatch) throw new ApiError(409, 'Conflict', 'the preconditions do not hold');
      const last = api.remove(resource, key, options.graceSeconds);
      return sendObject(request, response, 200, target, last, context);
    }
    default:
      throw methodNotAllowed(request);
  }
}

function replace(api: Api, target: Target, key: string, body: Json): KubeObject {
  const { resource, subresource } = target;
  if (subresource === 'scale') return setScale(api, target, key, body);
  return api.update(resource, key, body, subresource === 'status' ? 'status' : undefined);
}

/** Each kind of patch by its content type; server-side apply creates what is not there. */
function patch(api: Api, target: Target, key: string, body: Json, contentType: string): KubeObject {
  const { resource, namespace } = target;
  const type = contentType.split(';')[0]?.trim() ?? '';
  const applies =
    type === 'application/apply-patch+yaml' || type === 'application/apply-patch+json';
  const before = api.storage.get(resource, key);
  if (before === undefined && applies && target.subresource === '') {
    return api.create(resource, body, resource.namespaced ? namespace : undefined);
  }
  const current =
    target.subresource === 'scale' ? scaleOf(api.get(resource, key)) : api.get(resource, key);
  switch (type) {
    case 'application/json-patch+json':
      return replace(api, target, key, jsonPatch(current, body));
    case 'application/merge-patch+json':
      return replace(api, target, key, mergePatch(current, body));
    case 'application/strategic-merge-patch+json':
    case 'application/apply-patch+yaml':
    case 'application/apply-patch+json':
      return replace(api, target, key, strategicPatch(current, body));
    default:
      throw new ApiError(415, 'UnsupportedMediaType', `patches of type ${type} are not supported`);
  }
}

function scaleOf(object: KubeObject): JsonObject {
  const { name, namespace, uid, resourceVersion } = object.metadata;
  const labels = Object.entries(asObject(asObject(object.spec?.selector).matchLabels));
  return {
    kind: 'Scale',
    apiVersion: 'autoscaling/v1',
    metadata: { name, namespace, uid, resourceVersion },
    spec: { replicas: asNumber(object.spec?.replicas) },
    status: {
      replicas: asNumber(object.status?.replicas),
      selector: labels.map(([label, value]) => `${label}=${asText(value)}`).join(','),
    },
  };
}

function setScale(api: Api, target: Target, key: string, body: Json): KubeObject {
  const object = api.get(target.resource, key);
  const scale = isJsonObject(body) ? body : {};
  const { replicas } = asObject(scale.spec);
  if (typeof replicas !== 'number' || replicas < 0) {
    throw new ApiError(422, 'Invalid', 'spec.replicas must be a number, zero or more');
  }
  const asked = asText(asObject(scale.metadata).resourceVersion);
  const metadata = { ...object.metadata, ...(asked === '' ? {} : { resourceVersion: asked }) };
  const spec = { ...object.spec, replicas };
  return api.update(target.resource, key, { ...object, metadata, spec });
}

function sendObject(
  request: IncomingMessage,
  response: ServerResponse,
  code: number,
  target: Target,
  object: KubeObject,
  context: HttpContext,
): void {
  if (target.subresource === 'scale') {
    sendJson(response, code, scaleOf(object));
    return;
  }
  if (wantsTable(request) && request.method === 'GET') {
    const { resourceVersion } = object.metadata;
    const table = formatTable(target.resource, [object], { resourceVersion }, context.clock.now());
    sendJson(response, code, table);
    return;
  }
  response.writeHead(code, { 'content-type': 'application/json' });
  response.end(formatObject(object));
}

function sendJson(response: ServerResponse, code: number, body: JsonObject): void {
  response.writeHead(code, { 'content-type': 'application/json' });
  response.end(JSON.stringify(body));
}

function selectorsOf(query: URLSearchParams) {
  return parseSelectors(query.get('labelSelector') ?? '', query.get('fieldSelector') ?? '');
}

function wantsTable(request: IncomingMessage): boolean {
  return request.headers.accept?.includes('as=Table') === true;
}

function methodNotAllowed(request: IncomingMessage): ApiError {
  const text = `${request.method ?? ''} is not allowed here`;
  return new ApiError(405, 'MethodNotAllowed', text);
}
