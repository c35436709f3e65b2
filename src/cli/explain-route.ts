import type {
  AnnouncedServiceView,
  CandidateView,
  HearerView,
  NextHopView,
  RouteExplanation,
} from '../core/control-routing.ts';
import type { Column } from './columns.ts';
import { formatDuration } from './columns.ts';
import { listed } from './format.ts';

const nextHopColumns: readonly Column<NextHopView>[] = [
  { title: 'NEXT HOP', cell: (one) => one.nextHop },
  { title: 'NODE', cell: (one) => one.node },
  { title: 'BY', cell: (one) => one.way },
  { title: 'PATH', cell: (one) => one.path },
  { title: 'WHY', cell: (one) => one.reason },
];

const candidateColumns: readonly Column<CandidateView>[] = [
  { title: 'PATH', cell: (one) => one.prefix },
  { title: 'FROM', cell: (one) => one.peer },
  { title: 'NEXT HOP', cell: (one) => one.nextHop },
  { title: 'AS PATH', cell: (one) => one.asPath.join(' ') },
  { title: 'PREF', cell: (one) => one.localPreference ?? '' },
  { title: 'MED', cell: (one) => one.med ?? '' },
  { title: 'COMMUNITIES', cell: (one) => one.communities.join(' ') },
  { title: 'AGE', cell: (one) => formatDuration(one.ageSeconds) },
  { title: 'USE', cell: (one) => (one.stale ? `${one.verdict} (stale)` : one.verdict) },
  { title: 'WHY', cell: (one) => one.reason },
];

const hearerColumns: readonly Column<HearerView>[] = [
  { title: 'HEARD BY', cell: (one) => one.peer },
  { title: 'ADDRESS', cell: (one) => one.address },
  { title: 'NEXT HOP', cell: (one) => one.nextHop },
  { title: 'PREPENDED', cell: (one) => one.asPath.join(' ') },
  { title: 'PREF', cell: (one) => one.localPreference ?? '' },
  { title: 'MED', cell: (one) => one.med ?? '' },
  { title: 'COMMUNITIES', cell: (one) => one.communities.join(' ') },
];

const withheldColumns: readonly Column<AnnouncedServiceView['withheld'][number]>[] = [
  { title: 'NOT HEARD BY', cell: (one) => one.peer },
  { title: 'WHY', cell: (one) => one.reason },
];

/** An explanation as text: the verdict first, then next hops, paths, and the Service. */
export function formatRoute(found: RouteExplanation): string {
  const parts = [found.verdict];
  if (found.route !== undefined && found.route.error !== '') parts.push(found.route.error);
  for (const one of found.overruled) parts.push(`${one} wants this prefix, too`);
  parts.push(...listed(found.nextHops, nextHopColumns));
  parts.push(...listed(found.candidates, candidateColumns));
  for (const service of found.services) parts.push(...serviceLines(service));
  for (const note of found.notes) parts.push('', note);
  return `${parts.join('\n')}\n`;
}

function serviceLines(one: AnnouncedServiceView): string[] {
  const verb = one.announced ? `announced as ${one.prefix}` : 'not announced';
  return [
    '',
    `${one.kind} of Service ${one.service}, ${verb}: ${one.reason}`,
    ...listed(one.neighbours, hearerColumns),
    ...listed(one.withheld, withheldColumns),
  ];
}
