import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import type { ConnectionOptions } from 'node:tls';
import { newClusters, newContexts, newUsers } from '@kubernetes/client-node/dist/config_types.js';
import { parse as parseYaml } from 'yaml';
import { type Clock, realClock } from '../core/clock.ts';
import { isObject, type JsonObject, listOf, objectOf, textOf } from './json.ts';
import { formatError, KubeError } from './kube-error.ts';

/**
 * Where the API server is and how we prove who we are: from a kubeconfig, from the pod's service
 * account, or, for development, from a bare address.
 *
 * Of @kubernetes/client-node only `dist/config_types.js` is imported: the package itself, and its
 * `config.js` too, load every generated API model (+85 MB of memory, 0.4 s; this file: +3 MB).
 * It reads the three lists of a kubeconfig; secrets in files we read ourselves and again every
 * minute, because tokens and certificates are rotated under a running process.
 */
export interface KubeAccess {
  readonly server: KubeServer;
  /** Read again when older than a minute, or at once after `refresh`. */
  credentials(signal: AbortSignal): Promise<KubeCredentials>;
  /** Call after 401: the next `credentials` reads everything again. */
  refresh(): void;
}

export type KubeServer =
  | { readonly kind: 'unix'; readonly path: string }
  | {
      readonly kind: 'tcp';
      readonly secure: boolean;
      readonly host: string;
      readonly port: number;
      /** In front of every path, such as `/k8s/clusters/c-1`; '' mostly. */
      readonly basePath: string;
    };

export interface KubeCredentials {
  /** Header value; '' for none. */
  readonly authorization: string;
  readonly tls: Pick<
    ConnectionOptions,
    'ca' | 'cert' | 'key' | 'rejectUnauthorized' | 'servername'
  >;
}

export interface KubeAccessOptions {
  /** Path; '' for the pod's service account. */
  readonly kubeconfig: string;
  /** Replaces the server of the kubeconfig or of the pod; '' keeps it. */
  readonly server: string;
  readonly clock?: Clock;
  readonly environment?: NodeJS.ProcessEnv;
  /** Folder of the pod's token and CA. */
  readonly serviceAccountPath?: string;
}

/** Where the kubelet mounts the token (Kubernetes documentation, "Accessing the API from a Pod"). */
const serviceAccountPath = '/var/run/secrets/kubernetes.io/serviceaccount';

/** As client-go: a projected token is read again every minute. */
const credentialsMs = 60_000;

/** Bytes that an `exec` plugin may print, and how long it may take. */
const execLimits = { maxBuffer: 1024 * 1024, timeout: 30_000 };

/** Throws `KubeError` when neither file, pod nor server says where to connect to. */
export async function loadKubeAccess(options: KubeAccessOptions): Promise<KubeAccess> {
  const { kubeconfig, server } = options;
  const clock = options.clock ?? realClock;
  if (kubeconfig !== '') {
    const login = await readKubeconfig(kubeconfig);
    return createAccess(server === '' ? login.server : server, clock, login.read);
  }
  const environment = options.environment ?? process.env;
  const { KUBERNETES_SERVICE_HOST: host = '', KUBERNETES_SERVICE_PORT: port = '443' } = environment;
  if (host !== '') {
    const folder = options.serviceAccountPath ?? serviceAccountPath;
    const inCluster = `https://${host.includes(':') ? `[${host}]` : host}:${port}`;
    return createAccess(server === '' ? inCluster : server, clock, () => readPod(folder));
  }
  if (server === '') {
    throw new KubeError('no API server: give a kubeconfig or a server, or run in a pod');
  }
  return createAccess(server, clock, () => Promise.resolve({ authorization: '', tls: {} }));
}

/** `https://…`, `http://…` or `unix:/path`. Throws `KubeError`. */
export function parseServer(text: string): KubeServer {
  if (text.startsWith('unix:')) {
    const path = text.slice('unix:'.length).replace(/^\/\//, '');
    if (path.startsWith('/')) return { kind: 'unix', path };
    throw new KubeError(`the server ${text} is not unix:/path`);
  }
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url === undefined || (url.protocol !== 'https:' && url.protocol !== 'http:')) {
    throw new KubeError(`the server ${text} is none of https://…, http://… or unix:/path`);
  }
  const secure = url.protocol === 'https:';
  const port = url.port === '' ? (secure ? 443 : 80) : Number(url.port);
  const host = url.hostname.replace(/^\[|\]$/g, '');
  return { kind: 'tcp', secure, host, port, basePath: url.pathname.replace(/\/+$/, '') };
}

type ReadCredentials = (signal: AbortSignal) => Promise<KubeCredentials>;

function createAccess(server: string, clock: Clock, read: ReadCredentials): KubeAccess {
  let held: { readonly credentials: KubeCredentials; readonly atMs: number } | undefined;
  return {
    server: parseServer(server),
    async credentials(signal) {
      if (held === undefined || clock.monotonic() - held.atMs >= credentialsMs) {
        held = { credentials: await read(signal), atMs: clock.monotonic() };
      }
      return held.credentials;
    },
    refresh() {
      held = undefined;
    },
  };
}

async function readPod(folder: string): Promise<KubeCredentials> {
  const token = await readSecret(resolve(folder, 'token'));
  const ca = await readSecret(resolve(folder, 'ca.crt'));
  return { authorization: `Bearer ${token.trim()}`, tls: { ca } };
}

async function readSecret(path: string): Promise<string> {
  try {
    return await readFile(path, 'utf8');
  } catch (cause) {
    throw new KubeError(`cannot read ${path}`, { cause });
  }
}

async function readKubeconfig(
  path: string,
): Promise<{ readonly server: string; readonly read: ReadCredentials }> {
  const parsed: unknown = parseYaml(await readSecret(path));
  if (!isObject(parsed)) throw new KubeError(`${path} is not a kubeconfig`);
  const folder = dirname(resolve(path));
  const contextName = textOf(parsed['current-context']);
  const contexts = newContexts(listOf(parsed.contexts), filterInvalid);
  const context = contexts.find((c) => c.name === contextName) ?? contexts[0];
  const clusters = newClusters(listOf(parsed.clusters), filterInvalid);
  const cluster = clusters.find((c) => c.name === context?.cluster) ?? clusters[0];
  if (cluster === undefined) throw new KubeError(`${path} names no cluster`);
  const users = newUsers(listOf(parsed.users), filterInvalid);
  const user = users.find((u) => u.name === context?.user) ?? users[0];
  const rawUsers = listOf(parsed.users).filter(isObject);
  const raw = objectOf(rawUsers.find((u) => u.name === user?.name)?.user);
  const read: ReadCredentials = async (signal) => {
    const ca = await secretOf(cluster.caData, cluster.caFile, folder);
    const cert = await secretOf(user?.certData, user?.certFile, folder);
    const key = await secretOf(user?.keyData, user?.keyFile, folder);
    const given = {
      ...(ca === undefined ? {} : { ca }),
      ...(cert === undefined ? {} : { cert }),
      ...(key === undefined ? {} : { key }),
      ...(cluster.tlsServerName === undefined ? {} : { servername: cluster.tlsServerName }),
    };
    const tls = { ...given, rejectUnauthorized: !cluster.skipTLSVerify };
    if (isObject(raw.exec)) return execCredentials(raw.exec, tls, signal);
    return { authorization: await authorizationOf(raw, folder), tls };
  };
  return { server: cluster.server, read };
}

/** Entries of the kubeconfig that are incomplete are left out: another one may be the right one. */
const filterInvalid = { onInvalidEntry: 'filter' } as const;

async function secretOf(
  base64: unknown,
  path: unknown,
  folder: string,
): Promise<Buffer | string | undefined> {
  // Absent fields are null there, against their declared type.
  if (textOf(base64) !== '') return Buffer.from(textOf(base64), 'base64');
  return textOf(path) === '' ? undefined : readSecret(resolve(folder, textOf(path)));
}

async function authorizationOf(user: JsonObject, folder: string): Promise<string> {
  const tokenFile = textOf(user.tokenFile);
  // As client-go: a token file wins over a token.
  const token =
    tokenFile === '' ? textOf(user.token) : await readSecret(resolve(folder, tokenFile));
  if (token.trim() !== '') return `Bearer ${token.trim()}`;
  const name = textOf(user.username);
  if (name === '') return '';
  return `Basic ${Buffer.from(`${name}:${textOf(user.password)}`).toString('base64')}`;
}

/** Runs the credential plugin of a kubeconfig (client.authentication.k8s.io ExecCredential). */
async function execCredentials(
  exec: JsonObject,
  tls: KubeCredentials['tls'],
  signal: AbortSignal,
): Promise<KubeCredentials> {
  const command = textOf(exec.command);
  const variables = listOf(exec.env).filter(isObject);
  const added = Object.fromEntries(variables.map((v) => [textOf(v.name), textOf(v.value)]));
  const info = { kind: 'ExecCredential', apiVersion: textOf(exec.apiVersion), spec: {} };
  const env = { ...process.env, KUBERNETES_EXEC_INFO: JSON.stringify(info), ...added };
  const output = await new Promise<string>((done, fail) => {
    const options = { ...execLimits, env, signal, encoding: 'utf8' } as const;
    execFile(command, listOf(exec.args).map(textOf), options, (cause, stdout) => {
      if (cause === null) done(stdout);
      else fail(new KubeError(`the credential plugin ${command} failed`, { cause }));
    });
  });
  const status = objectOf(objectOf(parseCredential(command, output)).status);
  const cert = textOf(status.clientCertificateData);
  const key = textOf(status.clientKeyData);
  const pair = cert === '' ? {} : { cert, key };
  const token = textOf(status.token);
  return { authorization: token === '' ? '' : `Bearer ${token}`, tls: { ...tls, ...pair } };
}

function parseCredential(command: string, output: string): unknown {
  try {
    return JSON.parse(output);
  } catch (cause) {
    throw new KubeError(`the credential plugin ${command} printed no JSON: ${formatError(cause)}`);
  }
}
