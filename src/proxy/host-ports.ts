import { familyOf, type Ip, parseIp } from '../core/ip.ts';
import type { Problem } from '../core/problem.ts';
import { emptyPlan, type Planner } from '../desired/plan.ts';
import type { TranslationRow } from '../desired/rows.ts';
import type { ContainerPort, Pod } from '../model/facts.ts';
import { ownAddresses } from '../model/frontends.ts';
import type { ChangedKeys, Facts } from '../model/store.ts';

/**
 * Host ports of this node's pods: (address of the node, protocol, host port) to the container's
 * port. Pods in the host's network have theirs without anybody's help. A Service that has the
 * same frontend keeps it.
 */
export const hostPortPlanner: Planner<Facts, ChangedKeys> = {
  name: 'hostPorts',
  kind: 'Pod',
  owners: (facts) => facts.pods.keys(),
  touched(_facts, changed) {
    if (changed.config || changed.uplink) return 'all';
    return changed.pods ?? [];
  },
  plan(facts, owner) {
    const pod = facts.pods.get(owner);
    if (pod === undefined || !hasHostPorts(facts, pod)) return emptyPlan;
    const problems: Problem[] = [];
    const translations = pod.ports.flatMap((port, i) => {
      if (port.hostPort === 0) return [];
      const addresses = addressesOf(facts, port);
      if (addresses === undefined)
        problems.push({
          object: `Pod/${pod.key}`,
          field: `spec.containers.ports[${i}].hostIP`,
          reason: `${JSON.stringify(port.hostIp)} is no address of this node: the host port ${port.hostPort} is not served`,
        });
      return (addresses ?? []).flatMap((vip) => planPort(pod, port, vip));
    });
    return { rows: { translations }, problems };
  },
};

function hasHostPorts(facts: Facts, pod: Pod): boolean {
  return (
    !pod.hostNetwork &&
    pod.node === facts.config.get('config')?.nodeName &&
    (pod.phase === 'Pending' || pod.phase === 'Running') &&
    pod.ports.some((port) => port.hostPort !== 0)
  );
}

/** The node's addresses on which a host port answers; undefined when it has no such address. */
function addressesOf(facts: Facts, { hostIp }: ContainerPort): readonly Ip[] | undefined {
  const own = ownAddresses(facts);
  if (hostIp === '' || hostIp === '0.0.0.0' || hostIp === '::') return own;
  const wanted = parseIp(hostIp);
  return wanted !== undefined && own.includes(wanted) ? [wanted] : undefined;
}

function planPort(pod: Pod, port: ContainerPort, vip: Ip): TranslationRow[] {
  const ip = pod.ips.find((address) => familyOf(address) === familyOf(vip));
  if (ip === undefined) return [];
  return [
    {
      vip,
      port: port.hostPort,
      protocol: port.protocol,
      nodeAddress: true,
      affinityEpoch: undefined,
      backends: [{ ip, port: port.containerPort }],
      service: `pod ${pod.key}`,
    },
  ];
}
