import type {
  Check,
  ErrorView,
  PodView,
  RowView,
  ServiceView,
  TableView,
} from '../core/control-api.ts';
import type { PolicyView } from '../core/control-policy.ts';
import type { AdvertisementView, PeerView, RouteView } from '../core/control-routing.ts';

/** One column of a text table. */
export interface Column<Item> {
  readonly title: string;
  /** Shown with `-o wide` only. */
  readonly wide?: boolean;
  cell(item: Item): string | number;
}

/** More are counted, not listed, unless `-o wide`. */
const backendsShown = 3;

export const serviceColumns: readonly Column<ServiceView>[] = [
  { title: 'SERVICE', cell: (item) => item.service },
  { title: 'KIND', cell: (item) => item.kind },
  { title: 'FRONTEND', cell: (item) => item.frontend },
  { title: 'STATUS', cell: (item) => item.status },
  { title: 'BACKENDS', cell: (item) => shorten(item.backends, backendsShown) },
  { title: 'ALL BACKENDS', wide: true, cell: (item) => item.backends.join(' ') },
  { title: 'ERROR', cell: (item) => item.error },
];

export const podColumns: readonly Column<PodView>[] = [
  { title: 'POD', cell: (item) => item.pod },
  { title: 'ADDRESSES', cell: (item) => item.ips.join(' ') },
  { title: 'INTERFACE', cell: (item) => item.interface },
  { title: 'STATUS', cell: (item) => item.status },
  { title: 'POLICIES', cell: (item) => item.policies },
  { title: 'KIND', wide: true, cell: (item) => item.kind },
  { title: 'CONTAINER', wide: true, cell: (item) => item.containerId },
  { title: 'ERROR', cell: (item) => item.error },
];

/** More are counted, not listed, unless `-o wide`. */
const podsShown = 3;

export const policyColumns: readonly Column<PolicyView>[] = [
  { title: 'POLICY', cell: (item) => item.policy },
  { title: 'MODE', cell: (item) => item.mode },
  { title: 'DIRECTIONS', cell: (item) => item.directions.join(' ') },
  { title: 'PODS HERE', cell: (item) => shorten(item.pods, podsShown) },
  { title: 'ALL PODS HERE', wide: true, cell: (item) => item.pods.join(' ') },
  { title: 'FILTERS', cell: (item) => item.filters },
  { title: 'RULES', cell: (item) => item.rules },
  { title: 'ALLOWED', cell: (item) => item.allowed },
  { title: 'DENIED', cell: (item) => item.denied },
  { title: 'AUDITED', cell: (item) => item.audited },
  { title: 'STATUS', cell: (item) => (item.pods.length === 0 ? '-' : item.status) },
  { title: 'PROBLEMS', cell: (item) => item.problems.join('; ') },
];

export const peerColumns: readonly Column<PeerView>[] = [
  { title: 'PEER', cell: (item) => item.address },
  { title: 'KIND', wide: true, cell: (item) => item.kind },
  { title: 'AS', cell: (item) => item.asn },
  { title: 'STATE', cell: (item) => item.state },
  { title: 'SINCE', cell: (item) => formatDuration(item.uptimeSeconds) },
  { title: 'RECEIVED', cell: (item) => item.received },
  { title: 'ACCEPTED', wide: true, cell: (item) => item.accepted },
  { title: 'ADVERTISED', cell: (item) => item.advertised },
  { title: 'FLAPS', wide: true, cell: (item) => item.flaps },
  { title: 'DESCRIPTION', cell: (item) => item.description },
  { title: 'PASSWORD KEY', wide: true, cell: (item) => item.passwordKey },
  { title: 'LAST ERROR', cell: (item) => item.lastError },
];

export const routeColumns: readonly Column<RouteView>[] = [
  { title: 'STATUS', cell: (item) => item.status },
  { title: 'PREFIX', cell: (item) => item.prefix },
  { title: 'PATHS', cell: (item) => item.paths.join(', ') },
  { title: 'ORIGIN', cell: (item) => item.origin },
  { title: 'FROM', cell: (item) => item.from.join(', ') },
  { title: 'ERROR', cell: (item) => item.error },
];

/** More are counted, not listed; `-o json` has all. */
const namesShown = 6;

export const advertisementColumns: readonly Column<AdvertisementView>[] = [
  { title: 'STATUS', cell: (item) => item.status },
  { title: 'PREFIX', cell: (item) => item.prefix },
  { title: 'NEXT HOP', cell: (item) => item.nextHop },
  { title: 'KIND', cell: (item) => item.kind },
  { title: 'FOR', cell: (item) => someOf(item.for) },
  { title: 'LOCAL PREF', cell: (item) => item.localPreference ?? '' },
  { title: 'MED', cell: (item) => item.med ?? '' },
  { title: 'COMMUNITIES', cell: (item) => item.communities.join(' ') },
  {
    title: 'NEIGHBOURS',
    wide: true,
    cell: (item) => someOf((item.neighbours ?? []).map((one) => one.peer)) || '<none>',
  },
  { title: 'ERROR', cell: (item) => item.error },
];

function someOf(names: readonly string[]): string {
  const more = names.length - namesShown;
  const shown = names.slice(0, namesShown).join(' ');
  return more > 0 ? `${shown} + ${more} more` : shown;
}

export const tableColumns: readonly Column<TableView>[] = [
  { title: 'TABLE', cell: (item) => item.name },
  { title: 'DESIRED', cell: (item) => item.desired },
  { title: 'APPLIED', cell: (item) => item.applied },
  { title: 'FAILED', cell: (item) => item.failed },
];

export const rowColumns: readonly Column<RowView>[] = [
  { title: 'STATUS', cell: (item) => item.status },
  { title: 'KEY', wide: true, cell: (item) => item.key },
  { title: 'ROW', cell: (item) => item.line },
  { title: 'ERROR', cell: (item) => item.error },
];

export const errorColumns: readonly Column<ErrorView>[] = [
  { title: 'OBJECT', cell: (item) => item.object },
  { title: 'FIELD', cell: (item) => item.field },
  { title: 'REASON', cell: (item) => item.reason },
];

export const checkColumns: readonly Column<Check>[] = [
  { title: 'CHECK', cell: (item) => item.name },
  { title: 'OK', cell: (item) => (item.ok ? 'yes' : 'NO') },
  { title: 'GATE', wide: true, cell: (item) => item.gate },
  { title: 'WHY', cell: (item) => item.reason },
];

export const stepColumns: readonly Column<{ readonly at: string; readonly what: string }>[] = [
  { title: 'AT', cell: (item) => item.at },
  { title: 'WHAT', cell: (item) => item.what },
];

function shorten(names: readonly string[], most: number): string {
  if (names.length === 0) return '<none>';
  const shown = names.slice(0, most).join(' ');
  const more = names.length - most;
  return more > 0 ? `${shown} + ${more} more` : shown;
}

/** `1h02m`, `3m05s`, `42s`: two units at most. */
export function formatDuration(seconds: number): string {
  const whole = Math.max(0, Math.floor(seconds));
  const units = [
    { name: 'd', size: 86_400 },
    { name: 'h', size: 3_600 },
    { name: 'm', size: 60 },
    { name: 's', size: 1 },
  ];
  const first = units.findIndex((unit) => whole >= unit.size);
  const unit = units[first];
  const next = units[first + 1];
  if (unit === undefined) return '0s';
  const text = `${Math.floor(whole / unit.size)}${unit.name}`;
  if (next === undefined) return text;
  const rest = Math.floor((whole % unit.size) / next.size);
  return `${text}${String(rest).padStart(2, '0')}${next.name}`;
}
