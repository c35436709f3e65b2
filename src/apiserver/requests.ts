import type { IncomingMessage } from 'node:http';
import { parse as parseYaml } from 'yaml';
import { ApiError, asNumber, asText, isJsonObject, type Json, type JsonObject } from './objects.ts';
import { findResource, type Resource } from './resources.ts';

/** What a path names. */
export interface Target {
  readonly resource: Resource;
  /** '' for a cluster-scoped resource, or all namespaces. */
  readonly namespace: string;
  /** '' for the collection. */
  readonly name: string;
  /** '' for the object itself. */
  readonly subresource: string;
}

/** Bytes of a request body; the real server's limit is 3 MiB, too. */
const bodyLimitBytes = 3 * 1024 * 1024;

/** The resource, namespace and name in `/api/v1/…` or `/apis/GROUP/VERSION/…`. */
export function parseTarget(path: string): Target | undefined {
  const parts = path
    .split('/')
    .filter((part) => part !== '')
    .map(decodeURIComponent);
  const core = parts[0] === 'api';
  const [group, version] = core ? ['', parts[1]] : [parts[1], parts[2]];
  const rest = parts.slice(core ? 2 : 3);
  if (group === undefined || version === undefined || rest.length === 0) return undefined;
  // `namespaces/x/pods` is about pods, `namespaces/x/status` about the namespace.
  const inner = rest[0] === 'namespaces' && rest.length > 2 ? rest[2] : undefined;
  if (inner !== undefined && inner !== 'status' && inner !== 'finalize') {
    const resource = findResource(group, version, inner);
    if (resource === undefined || !resource.namespaced || rest.length > 5) return undefined;
    const [, namespace = '', , name = '', subresource = ''] = rest;
    return { resource, namespace, name, subresource };
  }
  const [plural = '', name = '', subresource = ''] = rest;
  const resource = findResource(group, version, plural);
  if (resource === undefined || rest.length > 3) return undefined;
  if (resource.namespaced && name !== '') return undefined;
  return { resource, namespace: '', name, subresource };
}

/** The body as JSON or YAML; undefined when there is none. Throws 400 and 413. */
export async function readBody(request: IncomingMessage): Promise<Json> {
  const chunks: Buffer[] = [];
  let length = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    length += chunk.length;
    if (length > bodyLimitBytes) {
      throw new ApiError(413, 'RequestEntityTooLarge', `the body is over ${bodyLimitBytes} bytes`);
    }
    chunks.push(chunk);
  }
  if (length === 0) return undefined;
  const text = Buffer.concat(chunks).toString('utf8');
  const type = request.headers['content-type'] ?? '';
  if (type.includes('protobuf')) {
    throw new ApiError(415, 'UnsupportedMediaType', 'this server speaks JSON and YAML only');
  }
  try {
    return type.includes('yaml') ? (parseYaml(text) as Json) : (JSON.parse(text) as Json);
  } catch (cause) {
    throw new ApiError(400, 'BadRequest', `the body cannot be read: ${String(cause)}`, { cause });
  }
}

/** Grace period and preconditions of a deletion, from the query or the DeleteOptions body. */
export interface DeleteOptions {
  readonly graceSeconds?: number;
  readonly uid: string;
  readonly resourceVersion: string;
}

export function parseDeleteOptions(query: URLSearchParams, body: Json): DeleteOptions {
  const options: JsonObject = isJsonObject(body) ? body : {};
  const { preconditions, gracePeriodSeconds } = options;
  const conditions: JsonObject = isJsonObject(preconditions) ? preconditions : {};
  const text = query.get('gracePeriodSeconds') ?? '';
  const isGiven = text !== '' || typeof gracePeriodSeconds === 'number';
  const seconds = text === '' ? asNumber(gracePeriodSeconds) : Number(text);
  return {
    ...(isGiven ? { graceSeconds: seconds } : {}),
    uid: asText(conditions.uid),
    resourceVersion: asText(conditions.resourceVersion),
  };
}
