import { aclDenied } from '../plane/drops.ts';
import type { Interface } from '../plane/interfaces.ts';
import type { Plane } from '../plane/plane.ts';
import type { StatEntry } from './layout.ts';

/** Translations at most whose counters are shown; ids beyond are left out. */
const translationsMax = 65_536;

/** What the stats segment tells, under VPP's names. */
export function statEntries(
  plane: Plane,
  time: { readonly heartbeats: number; readonly bootSeconds: number },
): StatEntry[] {
  const interfaces = [...plane.interfaces.all.values()];
  const length = Math.max(0, ...interfaces.map((one) => one.index)) + 1;
  const column = <T>(of: (one: Interface) => T, none: T): T[] =>
    Array.from({ length }, (_, index) => {
      const one = plane.interfaces.get(index);
      return one === undefined ? none : of(one);
    });
  const simple = (name: string, of: (one: Interface) => number): StatEntry => ({
    kind: 'simple',
    name,
    values: column(of, 0),
  });
  const nothing = { packets: 0, bytes: 0 };
  return [
    { kind: 'scalar', name: '/sys/last_stats_clear', value: 0 },
    { kind: 'scalar', name: '/sys/heartbeat', value: time.heartbeats },
    { kind: 'scalar', name: '/sys/boottime', value: time.bootSeconds },
    { kind: 'gauge', name: '/sys/num_worker_threads', value: 0 },
    { kind: 'names', name: '/if/names', names: column((one) => one.name, '') },
    {
      kind: 'combined',
      name: '/if/rx',
      values: column(({ counters: c }) => ({ packets: c.rxPackets, bytes: c.rxBytes }), nothing),
    },
    {
      kind: 'combined',
      name: '/if/tx',
      values: column(({ counters: c }) => ({ packets: c.txPackets, bytes: c.txBytes }), nothing),
    },
    simple('/if/drops', (one) => one.counters.drops),
    simple('/if/punt', (one) => one.counters.punts),
    simple('/if/ip4', (one) => one.counters.ip4),
    simple('/if/ip6', (one) => one.counters.ip6),
    simple('/if/rx-no-buf', () => 0),
    simple('/if/rx-miss', () => 0),
    simple('/if/rx-error', (one) => one.counters.rxErrors),
    simple('/if/tx-error', (one) => one.counters.txErrors),
    ...interfaces.flatMap((one) => interfaceLinks(one)),
    { kind: 'combined', name: '/net/cnat-translation', values: translationCounters(plane) },
    { kind: 'gauge', name: '/cnat/sessions/total', value: plane.cnat.sessions.count },
    ...aclEntries(plane),
    ...errorEntries(plane),
  ];
}

/** `/interfaces/<name>/rx` and so on: columns of the vectors above. */
function interfaceLinks(one: Interface): StatEntry[] {
  return ['rx', 'tx', 'drops', 'punt', 'ip4', 'ip6', 'rx-error', 'tx-error'].map((what) => ({
    kind: 'symlink',
    name: `/interfaces/${one.name.replaceAll('/', '_')}/${what}`,
    target: `/if/${what}`,
    column: one.index,
  }));
}

function translationCounters(plane: Plane): { packets: number; bytes: number }[] {
  const { all } = plane.cnat.translations;
  let length = 0;
  for (const id of all.keys()) length = Math.max(length, id + 1);
  return Array.from({ length: Math.min(length, translationsMax) }, (_, id) => {
    const one = all.get(id);
    return { packets: one?.packets ?? 0, bytes: one?.bytes ?? 0 };
  });
}

function aclEntries(plane: Plane): StatEntry[] {
  return [...plane.acl.all.values()].map((acl) => ({
    kind: 'combined',
    name: `/acl/${acl.index}/matches`,
    values: acl.matches.map(({ packets, bytes }) => ({ packets, bytes })),
  }));
}

/** `/err/<node>/<reason>`, of the nodes whose drops the daemon looks at. */
function errorEntries(plane: Plane): StatEntry[] {
  return [...plane.drops.denied].map(([node, count]) => ({
    kind: 'simple',
    name: `/err/${node}/${aclDenied}`,
    values: [count],
  }));
}
