import type { EndpointView, ExplainedFrontend, ServiceExplanation } from '../core/control-api.ts';
import type { Column } from './columns.ts';
import { errorColumns } from './columns.ts';
import { formatItems, listed } from './format.ts';

const frontendColumns: readonly Column<ExplainedFrontend>[] = [
  { title: 'FRONTEND', cell: (one) => one.frontend },
  { title: 'KIND', cell: (one) => one.kind },
  { title: 'ANSWER', cell: answerText },
  { title: 'ALLOWED', cell: (one) => one.allowed },
  { title: 'STATUS', cell: (one) => (one.error === '' ? one.status : one.error) },
  { title: 'VPP ID', cell: (one) => (one.translationId ?? '-').toString() },
  { title: 'CONNECTIONS', cell: (one) => String(one.connections) },
  { title: 'OPEN', cell: (one) => String(one.openSessions) },
  { title: 'NOTE', cell: (one) => one.note },
];

const endpointColumns: readonly Column<EndpointView>[] = [
  { title: 'ENDPOINT', cell: (one) => one.address },
  { title: 'NODE', cell: (one) => one.node || '-' },
  { title: 'USED', cell: usedText },
  { title: 'WHY', cell: (one) => one.reason },
];

const sessionColumns: readonly Column<{
  readonly frontend: string;
  readonly backend: string;
  readonly sessions: number;
}>[] = [
  { title: 'SESSIONS OF', cell: (one) => one.frontend },
  { title: 'TO', cell: (one) => one.backend },
  { title: 'OPEN', cell: (one) => one.sessions },
];

function answerText({ answer, backends }: ExplainedFrontend): string {
  if (answer !== 'endpoints') return answer;
  return backends.length === 1 ? '1 endpoint' : `${backends.length} endpoints`;
}

function usedText({ cluster, local }: EndpointView): string {
  if (cluster && local) return 'yes';
  if (cluster) return 'policy Cluster';
  return local ? 'policy Local' : 'no';
}

function sessionLines(frontends: readonly ExplainedFrontend[]): string[] {
  const lines = frontends.flatMap(({ frontend, sessionsByBackend }) =>
    sessionsByBackend.map(({ backend, sessions }) => ({ frontend, backend, sessions })),
  );
  return listed(lines, sessionColumns);
}

function endpointLines(endpoints: readonly EndpointView[]): string[] {
  return endpoints.length === 0 ? ['no endpoints'] : listed(endpoints, endpointColumns);
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
    parts.push(...sessionLines(port.frontends), ...endpointLines(port.endpoints));
  }
  if (!found.sessionsRead) parts.push('', 'open sessions were not counted');
  if (found.problems.length > 0)
    parts.push('', 'problems', formatItems(found.problems, errorColumns, 'text').trimEnd());
  return `${parts.join('\n')}\n`;
}
