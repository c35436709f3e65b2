import type { EndpointView, ExplainedFrontend, ServiceExplanation } from '../core/control-api.ts';
import type { Column } from './columns.ts';
import { errorColumns } from './columns.ts';
import { formatItems } from './format.ts';

const frontendColumns: readonly Column<ExplainedFrontend>[] = [
  { title: 'FRONTEND', cell: (one) => one.frontend },
  { title: 'KIND', cell: (one) => one.kind },
  { title: 'ANSWER', cell: answerText },
  { title: 'ALLOWED', cell: (one) => (one.localOnly ? `${one.allowed}, local` : one.allowed) },
  { title: 'STATUS', cell: (one) => (one.error === '' ? one.status : one.error) },
  { title: 'VPP ID', cell: (one) => (one.translationId ?? '-').toString() },
  { title: 'CONNECTIONS', cell: (one) => String(one.connections) },
  { title: 'OPEN', cell: (one) => String(one.openSessions) },
];

const endpointColumns: readonly Column<EndpointView>[] = [
  { title: 'ENDPOINT', cell: (one) => one.address },
  { title: 'NODE', cell: (one) => one.node || '-' },
  { title: 'USED', cell: usedText },
  { title: 'WHY', cell: (one) => one.reason },
];

function answerText({ answer, backends }: ExplainedFrontend): string {
  return answer === 'endpoints' ? `${backends.length} endpoints` : answer;
}

function usedText({ cluster, local }: EndpointView): string {
  if (cluster && local) return 'yes';
  if (cluster) return 'policy Cluster';
  return local ? 'policy Local' : 'no';
}

/** An explanation as text: the verdict first, then every port with its tables. */
export function formatExplanation(found: ServiceExplanation): string {
  const affinity = found.affinitySeconds === 0 ? 'none' : `ClientIP ${found.affinitySeconds} s`;
  const parts = [
    `${found.service}: ${found.verdict}`,
    `type ${found.type}, internal policy ${found.internalTrafficPolicy}, external policy ${found.externalTrafficPolicy}, affinity ${affinity}`,
  ];
  for (const port of found.ports) {
    const name = port.name === '' ? port.protocol : `${port.name} ${port.protocol}`;
    parts.push('', `port ${name}`);
    parts.push(formatItems(port.frontends, frontendColumns, 'text').trimEnd());
    if (port.endpoints.length === 0) parts.push('no endpoints');
    else parts.push(formatItems(port.endpoints, endpointColumns, 'text').trimEnd());
  }
  if (!found.sessionsRead) parts.push('', 'open sessions were not counted');
  if (found.problems.length > 0)
    parts.push('', 'problems', formatItems(found.problems, errorColumns, 'text').trimEnd());
  return `${parts.join('\n')}\n`;
}
