import { address } from './messages.ts';

/** Which Services the API server of a bench holds. */
export type Mix =
  /** One port of a ClusterIP each. */
  | 'plain'
  /** Every second is of a kind that costs more: see `kindOf`. */
  | 'mixed';

/** The node on which the daemon of a bench runs. */
export const ownNode = 'node-0';

/**
 * Of ten Services of a mixed cluster five are plain. Every second change of a `local` one gives
 * this node its only endpoint or takes it away, so a filter of the gate is written: nothing that
 * happens to one Service costs more.
 */
type Kind = 'plain' | 'local' | 'ranges' | 'localAndRanges' | 'affinity' | 'draining';
const kinds: readonly Kind[] = [
  'plain',
  'local',
  'plain',
  'ranges',
  'plain',
  'localAndRanges',
  'plain',
  'affinity',
  'plain',
  'draining',
];

function kindOf(mix: Mix, index: number): Kind {
  return mix === 'plain' ? 'plain' : (kinds[index % kinds.length] ?? 'plain');
}

const sourceRanges = ['198.51.100.0/24', '203.0.113.0/25', '192.0.2.128/25'];

/** 10,000 Services need more NodePorts than there are. */
const balanced = { type: 'LoadBalancer', allocateLoadBalancerNodePorts: false };

function specOf(kind: Kind): object {
  switch (kind) {
    case 'plain':
    case 'draining':
      return { type: 'ClusterIP' };
    case 'local':
      return { type: 'NodePort', externalTrafficPolicy: 'Local' };
    case 'ranges':
      return { ...balanced, loadBalancerSourceRanges: sourceRanges };
    case 'localAndRanges':
      return {
        ...balanced,
        loadBalancerSourceRanges: sourceRanges,
        externalTrafficPolicy: 'Local',
      };
    case 'affinity':
      return { type: 'ClusterIP', sessionAffinity: 'ClientIP' };
  }
}

export function serviceObject(mix: Mix, index: number) {
  const kind = kindOf(mix, index);
  const spec = specOf(kind);
  const hasAddress = kind === 'ranges' || kind === 'localAndRanges';
  return {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { name: `service-${index}`, namespace: 'bench', labels: { app: `app-${index}` } },
    spec: {
      clusterIP: address(index, 11),
      clusterIPs: [address(index, 11)],
      ipFamilies: ['IPv4'],
      ports: [{ name: 'http', port: 80, protocol: 'TCP', targetPort: 8080 }],
      selector: { app: `app-${index}` },
      ...spec,
    },
    ...(hasAddress
      ? { status: { loadBalancer: { ingress: [{ ip: address(index, 14), ipMode: 'VIP' }] } } }
      : {}),
  };
}

/** By chance, so that every second change of a Service moves its endpoint here or away. */
function isHere(change: number): boolean {
  const mixed = Math.imul(change ^ (change >>> 16), 0x85ebca6b);
  return ((Math.imul(mixed ^ (mixed >>> 13), 0xc2b2ae35) >>> 16) & 1) === 1;
}

/** Ten endpoints; one of them is another address after each change. */
export function sliceObject(mix: Mix, index: number, change: number, triggerMs?: number) {
  const kind = kindOf(mix, index);
  const local = kind === 'local' || kind === 'localAndRanges';
  const trigger =
    triggerMs === undefined
      ? {}
      : { 'endpoints.kubernetes.io/last-change-trigger-time': new Date(triggerMs).toISOString() };
  const nodeOf = (i: number) => {
    if (!local) return `node-${(index + i) % 100}`;
    return i === 0 && isHere(change) ? ownNode : `node-${1 + ((index + i) % 99)}`;
  };
  return {
    apiVersion: 'discovery.k8s.io/v1',
    kind: 'EndpointSlice',
    metadata: {
      name: `service-${index}-abcde`,
      namespace: 'bench',
      annotations: trigger,
      labels: {
        'kubernetes.io/service-name': `service-${index}`,
        'endpointslice.kubernetes.io/managed-by': 'endpointslice-controller.k8s.io',
      },
    },
    addressType: 'IPv4',
    ports: [{ name: 'http', port: 8080, protocol: 'TCP' }],
    endpoints: Array.from({ length: 10 }, (_, i) => {
      // After its first change one endpoint of a draining Service serves to its end.
      const terminating = kind === 'draining' && i === 1 && change > 0;
      return {
        addresses: [address(i === 0 ? change : index * 10 + i, i === 0 && change > 0 ? 13 : 12)],
        conditions: { ready: !terminating, serving: true, terminating },
        nodeName: nodeOf(i),
        targetRef: { kind: 'Pod', name: `pod-${index}-${i}`, namespace: 'bench' },
      };
    }),
  };
}
