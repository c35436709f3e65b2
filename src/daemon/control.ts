import { configMaxBytes } from '../config/parse.ts';
import { type StatusView, type TraceRequest, traceProtocols } from '../core/control-api.ts';
import { parseIp } from '../core/ip.ts';
import { type Parsed, parsed, rejected } from '../core/parsed.ts';
import { type Stage, stages } from '../desired/table.ts';
import { type Answer, type HttpServer, json, refusal, serveHttp } from './http.ts';
import type { DaemonView } from './view.ts';

/**
 * The control socket: what `kvr` asks. Nothing is changed through it; mode 0600, so whoever may
 * connect is the daemon's own user or root. The paths are the contract in src/core/control-api.ts.
 */
export function serveControl(options: {
  readonly view: DaemonView;
  readonly socketPath: string;
  readonly signal: AbortSignal;
}): Promise<HttpServer> {
  return serveHttp(
    { kind: 'unix', path: options.socketPath },
    (url, signal) => controlAnswer(url, options.view, signal),
    options.signal,
    {
      maxBytes: configMaxBytes,
      take: async (url, text) => postAnswer(url, text, options.view),
    },
  );
}

/** The answer to a text; undefined for an unknown path. */
function postAnswer(url: URL, text: string, view: DaemonView): Answer | undefined {
  if (url.pathname === '/lint') return json(200, view.lint(text));
  if (url.pathname !== '/policy/lint') return undefined;
  const namespace = url.searchParams.get('namespace') ?? 'default';
  return json(200, view.lintPolicies({ text, namespace }));
}

/** The answer to one request; undefined for an unknown path. */
export async function controlAnswer(
  url: URL,
  view: DaemonView,
  signal: AbortSignal,
): Promise<Answer | undefined> {
  switch (url.pathname) {
    case '/status':
      return json(200, statusOf(view));
    case '/tables':
      return items(view.tables());
    case '/services':
      return items(view.services());
    case '/pods':
      return items(view.pods());
    case '/errors':
      return items(view.problems());
    case '/peers':
      return items(await view.peers(signal));
    case '/routes':
      return items(view.routes());
    case '/advertisements':
      return items(view.advertisements(url.searchParams.has('neighbours')));
    case '/explain/service':
      return explainAnswer(url.searchParams.get('key') ?? '', view);
    case '/explain/route':
      return routeAnswer(url.searchParams.get('to') ?? '', view, signal);
    case '/explain/policy':
      return policyAnswer(url.searchParams, view);
    case '/policies':
      return items(await view.policies());
    case '/policy/lint':
      return json(200, view.lintPolicies());
    case '/trace':
      return traceAnswer(url.searchParams, view, signal);
    default:
      return url.pathname.startsWith('/tables/')
        ? rowsAnswer(url.pathname.slice('/tables/'.length), view)
        : undefined;
  }
}

function items(list: readonly unknown[]): Answer {
  return json(200, { items: list });
}

function statusOf(view: DaemonView): StatusView {
  const checks = view.checks();
  return {
    node: view.nodeName,
    version: view.version,
    ready: checks.every((check) => check.ok),
    checks,
  };
}

function rowsAnswer(name: string, view: DaemonView): Answer {
  const stage = stages.find((known): known is Stage => known === name);
  if (stage !== undefined) return items(view.rows(stage));
  return refusal(404, `no table ${JSON.stringify(name)}; there are ${stages.join(', ')}`);
}

async function traceAnswer(
  query: URLSearchParams,
  view: DaemonView,
  signal: AbortSignal,
): Promise<Answer> {
  const request = parseTraceRequest(query);
  if (!request.ok) return refusal(400, request.problem);
  return json(200, await view.trace(request.value, signal));
}

async function explainAnswer(key: string, view: DaemonView): Promise<Answer> {
  if (!/^[^/\s]+\/[^/\s]+$/.test(key)) return refusal(400, 'key must be namespace/name');
  const { found, similar } = await view.explainService(key);
  if (found !== undefined) return json(200, found);
  const hint = similar.length === 0 ? '' : `; there are ${similar.join(', ')}`;
  const text = `no Service ${key} that this router serves (one with the label service.kubernetes.io/service-proxy-name or service.kubernetes.io/headless belongs to others)${hint}`;
  return refusal(404, text);
}

async function routeAnswer(to: string, view: DaemonView, signal: AbortSignal): Promise<Answer> {
  const found = await view.explainRoute(to, signal);
  if (found !== undefined) return json(200, found);
  return refusal(400, `${JSON.stringify(to)} is neither an address nor a prefix`);
}

/** A pod's lists where a pod is named, otherwise what becomes of a packet. */
async function policyAnswer(query: URLSearchParams, view: DaemonView): Promise<Answer> {
  const pod = query.get('pod');
  const text = (name: string) => query.get(name) ?? '';
  const [from, to, port] = [text('from'), text('to'), text('port')];
  if (pod === null && (from === '' || to === ''))
    return refusal(400, 'say from and to, or pod: each namespace/name');
  const found = await (pod === null ? view.explainFlow({ from, to, port }) : view.explainPod(pod));
  return found.ok ? json(200, found.value) : refusal(404, found.problem);
}

/** `source`, `destination`, `protocol` and `port` of `/trace`. */
export function parseTraceRequest(query: URLSearchParams): Parsed<TraceRequest> {
  const source = parseIp(query.get('source') ?? '');
  if (source === undefined) return rejected('source must be an IP address');
  const destination = parseIp(query.get('destination') ?? '');
  if (destination === undefined) return rejected('destination must be an IP address');
  if (source.includes(':') !== destination.includes(':')) {
    return rejected('source and destination must be of one address family');
  }
  const protocol = traceProtocols.find((known) => known === (query.get('protocol') ?? 'tcp'));
  if (protocol === undefined) {
    return rejected(`protocol must be one of ${traceProtocols.join(', ')}`);
  }
  const portText = query.get('port') ?? '0';
  const port = /^\d{1,5}$/.test(portText) ? Number(portText) : -1;
  if (port < 0 || port > 65535) return rejected('port must be 0 to 65535');
  if (protocol !== 'icmp' && port === 0) return rejected(`a ${protocol} packet needs a port`);
  return parsed({ source, destination, protocol, port });
}
