import { compareText } from '../core/ip.ts';
import { formatMarkers, isMarker } from './markers.ts';
import type {
  AddressRow,
  BfdSessionRow,
  BgpPathRow,
  BgpPeerRow,
  BgpPolicyRow,
  BgpServerRow,
  FilterListRow,
  FilterRow,
  FilterRule,
  InterfaceRow,
  LinkStateRow,
  NatExclusionRow,
  NatInterfaceRow,
  NatRow,
  NeighbourRow,
  PuntRow,
  RoutePath,
  RouteRow,
  SessionPauseRow,
  SourceRow,
  TranslationRow,
  TunnelRow,
} from './rows.ts';
import { equalRows, type Stage, type Table } from './table.ts';

/** Row type of every table. */
export interface RowTypes {
  readonly interfaces: InterfaceRow;
  readonly tunnels: TunnelRow;
  readonly addresses: AddressRow;
  readonly neighbours: NeighbourRow;
  readonly punts: PuntRow;
  readonly nat: NatRow;
  readonly natExclusions: NatExclusionRow;
  readonly filters: FilterRow;
  readonly filterLists: FilterListRow;
  readonly sources: SourceRow;
  readonly natInterfaces: NatInterfaceRow;
  readonly tunnelStates: LinkStateRow;
  readonly routes: RouteRow;
  readonly sessionPauses: SessionPauseRow;
  readonly translations: TranslationRow;
  readonly linkStates: LinkStateRow;
  readonly bfdSessions: BfdSessionRow;
  readonly bgpServer: BgpServerRow;
  readonly bgpPolicies: BgpPolicyRow;
  readonly bgpPeers: BgpPeerRow;
  readonly bgpPaths: BgpPathRow;
}

function table<Name extends Stage>(
  name: Name,
  key: (row: RowTypes[Name]) => string,
  format: (row: RowTypes[Name]) => string,
): Table<RowTypes[Name]> {
  return { name, key, format, equal: equalRows };
}

export function formatPath(path: RoutePath): string {
  if (path.kind !== 'forward') return path.kind;
  return path.nextHop === undefined
    ? `dev ${path.interface}`
    : `via ${path.nextHop} dev ${path.interface}`;
}

function formatDevice(row: InterfaceRow): string {
  if (row.kind === 'loopback') return '';
  return ` ${row.kind === 'tap' ? row.podInterface : row.hostInterface}`;
}

/** One rule of a filter. */
export function formatRule({ action, source, destination, protocol, ports }: FilterRule): string {
  const where = ports === undefined ? '' : ` ${ports[0] === ports[1] ? ports[0] : ports.join('-')}`;
  return `${action} ${protocol.toLowerCase()} ${source} > ${destination}${where}`;
}

function formatAttributes({ communities, localPreference, med }: BgpPathRow): string {
  const texts: string[] = [];
  const kind = formatMarkers(communities);
  if (kind !== '') texts.push(`(${kind})`);
  const told = communities.filter((one) => !isMarker(one));
  if (told.length > 0) texts.push(`communities ${told.join(' ')}`);
  if (localPreference !== undefined) texts.push(`local-pref ${localPreference}`);
  if (med !== undefined) texts.push(`med ${med}`);
  return texts.map((text) => ` ${text}`).join('');
}

/** The order of a route's paths in rows: VPP has its own, and forgets ours. */
export function sortPaths(paths: readonly RoutePath[]): RoutePath[] {
  return paths.toSorted((a, b) => compareText(formatPath(a), formatPath(b)));
}

/** `[fd00::1]:80` or `10.0.0.1:80`. */
export function formatSocketAddress(address: string, port: number): string {
  return address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`;
}

export function formatFrontend(row: Pick<TranslationRow, 'vip' | 'port' | 'protocol'>): string {
  return `${formatSocketAddress(row.vip, row.port)}/${row.protocol.toLowerCase()}`;
}

export const tables: { readonly [Name in Stage]: Table<RowTypes[Name]> } = {
  interfaces: table(
    'interfaces',
    (row) => row.name,
    (row) => `${row.name} ${row.kind}${formatDevice(row)} mtu ${row.mtu}`,
  ),
  tunnels: table(
    'tunnels',
    (row) => row.name,
    (row) => {
      const ends = `${row.name} ${row.kind} ${row.source} > ${row.destination} mtu ${row.mtu}`;
      return row.kind === 'vxlan' ? `${ends} vni ${row.vni} ${row.direction}` : ends;
    },
  ),
  addresses: table(
    'addresses',
    (row) => (row.kind === 'own' ? `${row.interface} ${row.ip}` : `${row.interface} borrowed`),
    (row) =>
      row.kind === 'own'
        ? `${row.interface} ${row.ip}/${row.length}`
        : `${row.interface} borrowed from ${row.from}`,
  ),
  neighbours: table(
    'neighbours',
    (row) => `${row.interface} ${row.ip}`,
    (row) => `${row.ip} ${row.mac} dev ${row.interface}`,
  ),
  punts: table(
    'punts',
    (row) => `ipv${row.family}`,
    (row) => `ipv${row.family} via ${row.nextHop} dev ${row.interface}`,
  ),
  nat: table(
    'nat',
    () => 'nat',
    (row) => `masquerade as ${row.ip4 ?? '-'} ${row.ip6 ?? '-'}`,
  ),
  natExclusions: table(
    'natExclusions',
    (row) => row.prefix,
    (row) => row.prefix,
  ),
  filters: table(
    'filters',
    (row) => row.name,
    (row) => `${row.name} ${row.rules.map(formatRule).join('; ')}`,
  ),
  filterLists: table(
    'filterLists',
    (row) => row.interface,
    (row) => {
      const input = row.input.length > 0 ? ` in ${row.input.join(' ')}` : '';
      return `${row.interface}${input}${row.output.length > 0 ? ` out ${row.output.join(' ')}` : ''}`;
    },
  ),
  sources: table(
    'sources',
    (row) => row.interface,
    (row) => `${row.interface} from ${row.ips.join(' ')}`,
  ),
  natInterfaces: table(
    'natInterfaces',
    (row) => row.interface,
    (row) =>
      `${row.interface} ${row.role}${row.answers ? ', answers' : ''}${row.via === undefined ? '' : ` via ${row.via}`}`,
  ),
  tunnelStates: table(
    'tunnelStates',
    (row) => row.interface,
    (row) => `${row.interface} ${row.up ? 'up' : 'down'}`,
  ),
  routes: table(
    'routes',
    (row) => row.prefix,
    (row) => `${row.prefix} ${row.paths.map(formatPath).join(', ')}`,
  ),
  sessionPauses: table(
    'sessionPauses',
    () => 'scan',
    (row) => `paused: ${row.reason}`,
  ),
  translations: table(
    'translations',
    (row) => `${row.vip} ${row.port} ${row.protocol}`,
    (row) =>
      `${formatFrontend(row)} ${row.backends.map((b) => formatSocketAddress(b.ip, b.port)).join(' ')}`,
  ),
  linkStates: table(
    'linkStates',
    (row) => row.interface,
    (row) => `${row.interface} ${row.up ? 'up' : 'down'}`,
  ),
  // One a neighbour: another way to it replaces the session.
  bfdSessions: table(
    'bfdSessions',
    (row) => row.peer,
    (row) =>
      `${row.peer} from ${row.local} dev ${row.interface} tx ${row.minTxMs} ms rx ${row.minRxMs} ms x${row.multiplier}`,
  ),
  bgpServer: table(
    'bgpServer',
    () => 'server',
    (row) => `AS ${row.asn} id ${row.routerId} port ${row.port}`,
  ),
  bgpPolicies: table(
    'bgpPolicies',
    (row) => row.direction,
    (row) =>
      `${row.direction} ${row.statements.map((one) => `${one.name}: ${one.accept ? 'accept' : 'reject'}`).join('; ')}; otherwise ${row.otherwise}`,
  ),
  bgpPeers: table(
    'bgpPeers',
    (row) => row.address,
    (row) => `${row.address} AS ${row.asn} ${row.description}`,
  ),
  bgpPaths: table(
    'bgpPaths',
    (row) => row.prefix,
    (row) => `${row.prefix} via ${row.nextHop}${formatAttributes(row)}`,
  ),
};
