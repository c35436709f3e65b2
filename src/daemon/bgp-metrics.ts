import { Counter, Gauge, Histogram, type Registry } from 'prom-client';
import { realClock } from '../core/clock.ts';
import type { ErrorView } from '../core/control-api.ts';
import type { PeerView } from '../core/control-routing.ts';
import type { Looked, ScrapeView } from './metrics.ts';

/** Neighbours with series of their own; those outside of the mesh come first. */
export const peerSeriesMax = 1_000;

/** From 1 ms to 16 s: within the time of a round, or of VPP's absence. */
const convergenceBuckets = Array.from({ length: 15 }, (_, i) => 0.001 * 2 ** i);

/** What happens between scrapes. */
export function bgpCounters(registry: Registry) {
  const registers = [registry];
  return {
    sessionChanges: new Counter({
      name: 'kvr_bgp_session_changes_total',
      help: 'BGP sessions that came up (established) or ended (down), as GoBGP tells.',
      labelNames: ['to'] as const,
      registers,
    }),
    routesRefused: new Gauge({
      name: 'kvr_bgp_routes_refused',
      help: 'News of GoBGP about routes that found no place since it last told all; see docs/bgp.md.',
      registers,
    }),
    convergence: new Histogram({
      name: 'kvr_bgp_convergence_seconds',
      help: "From GoBGP's news about routes to their being in force in VPP.",
      buckets: convergenceBuckets,
      registers,
    }),
  };
}

/** Sessions, neighbours and paths, looked up at each scrape. */
export function collectBgp(looked: Looked): void {
  const peersOf = createPeersOf();
  looked('kvr_bgp_peers', 'BGP sessions by state.', ['state'], async (gauge, now) => {
    const peers = await peersOf(now);
    gauge.reset(); // Another scrape may have counted meanwhile.
    for (const peer of peers) gauge.inc({ state: peer.state });
  });
  collectNeighbours(looked, peersOf);
  looked(
    'kvr_bgp_paths',
    'Paths that this node announces, by what they are for.',
    ['kind'],
    (gauge, now) => {
      for (const { kind } of now.advertisements(false)) gauge.inc({ kind });
    },
  );
  looked(
    'kvr_config_rejected_entries',
    'Entries of the configuration and of this Node that are not in force because they are wrong.',
    ['section'],
    (gauge, now) => {
      for (const [section, count] of rejectedEntries(now.problems())) gauge.set({ section }, count);
    },
  );
}

type PeersOf = (now: ScrapeView) => Promise<readonly PeerView[]>;

function collectNeighbours(looked: Looked, peersOf: PeersOf): void {
  const shown = async (now: ScrapeView) =>
    (await peersOf(now))
      .filter((peer) => peer.kind !== 'range')
      .toSorted((a, b) => Number(a.kind === 'node') - Number(b.kind === 'node'))
      .slice(0, peerSeriesMax);
  looked(
    'kvr_bgp_peer_info',
    'Always 1; what is known of a neighbour is in the labels.',
    ['peer', 'kind', 'description', 'asn', 'state'],
    async (gauge, now) => {
      const peers = await shown(now);
      gauge.reset();
      for (const { address, kind, description, asn, state } of peers)
        gauge.set({ peer: address, kind, description, asn: String(asn), state }, 1);
    },
  );
  looked(
    'kvr_bgp_peer_up',
    '1 while the session with a neighbour is established.',
    ['peer'],
    async (gauge, now) => {
      const peers = await shown(now);
      gauge.reset();
      for (const { address, state } of peers)
        gauge.set({ peer: address }, Number(state === 'established'));
    },
  );
  looked(
    'kvr_bgp_peer_prefixes',
    'Prefixes received from a neighbour, accepted of them, and advertised to it.',
    ['peer', 'direction'],
    async (gauge, now) => {
      const peers = await shown(now);
      gauge.reset();
      for (const { address: peer, received, accepted, advertised } of peers) {
        gauge.set({ peer, direction: 'received' }, received);
        gauge.set({ peer, direction: 'accepted' }, accepted);
        gauge.set({ peer, direction: 'advertised' }, advertised);
      }
    },
  );
}

/**
 * Entries with something wrong, by the section that they are in: `bgp.peers` of the
 * configuration, `node` for neighbours in annotations of this Node, `other` for the rest of the
 * configuration. An entry with two problems is one entry.
 */
export function rejectedEntries(problems: readonly ErrorView[]): ReadonlyMap<string, number> {
  const entries = new Map<string, Set<string>>();
  for (const { object, field } of problems) {
    const section = sectionOf(object, field);
    if (section === undefined) continue;
    const found = entries.get(section) ?? new Set();
    // `bgp.peers[3].asn` and `bgp.peers[3].name` are of one entry.
    found.add(section === 'other' ? field : (/^.*?\[\d+\]/.exec(field)?.[0] ?? field));
    entries.set(section, found);
  }
  return new Map([...entries].map(([section, found]) => [section, found.size]));
}

function sectionOf(object: string, field: string): string | undefined {
  if (object === 'config') return field.startsWith('bgp.peers[') ? 'bgp.peers' : 'other';
  const isPeer = field.includes('kube-router.io/peer');
  return object.startsWith('Node/') && isPeer ? 'node' : undefined;
}

/** A scrape does not wait for a GoBGP that hangs. */
const peersMaxMs = 2_000;

/** The metrics of one scrape share one question, and so do scrapes at the same time. */
function createPeersOf(): PeersOf {
  let asked: Promise<readonly PeerView[]> | undefined;
  return (now) => {
    asked ??= askPeers(now).finally(() => {
      asked = undefined;
    });
    return asked;
  };
}

async function askPeers(now: ScrapeView): Promise<readonly PeerView[]> {
  const stop = new AbortController();
  const deadline = realClock.after(peersMaxMs, () => stop.abort(new Error('GoBGP is slow')));
  try {
    return await now.peers(stop.signal);
  } catch {
    // Without GoBGP there are no sessions to count; kvr_target_connected says why.
    return [];
  } finally {
    deadline.cancel();
  }
}
