import { hostPrefix } from '../core/ip.ts';
import { podInterfaceName, podsGateName, uplinkName } from '../desired/names.ts';
import { emptyPlan, type Planner } from '../desired/plan.ts';
import type { InterfaceRow } from '../desired/rows.ts';
import type { Attachment } from '../model/facts.ts';
import { isPoliced, policyTouched } from '../model/policed.ts';
import type { ChangedKeys, Facts } from '../model/store.ts';

/**
 * A pod's attachment becomes its interface, its permanent neighbours (no packet waits for ARP
 * or ND), a host route for each address, and no packet from any other. The link comes up last: see the order of stages.
 */
export const podPlanner: Planner<Facts, ChangedKeys> = {
  name: 'pods',
  kind: 'Attachment',
  owners: (facts) => facts.attachments.keys(),
  touched(facts, changed) {
    if (changed.gated?.has('ranges')) return 'all';
    return facts.gated.ranges.size > 0
      ? policyTouched(facts, changed)
      : (changed.attachments ?? []);
  },
  plan(facts, owner) {
    const attachment = facts.attachments.get(owner);
    if (attachment === undefined) return emptyPlan;
    const name = podInterfaceName(attachment.hostInterface);
    return {
      rows: {
        interfaces: [planInterface(name, attachment)],
        addresses: [{ kind: 'borrowed', interface: name, from: uplinkName }],
        neighbours: attachment.ips.map((ip) => ({ interface: name, ip, mac: attachment.mac })),
        sources: [{ interface: name, ips: attachment.ips.toSorted() }],
        natInterfaces: [
          {
            interface: name,
            role: 'pod',
            // Policies see what was translated, so their pods are not behind the gate.
            ...(facts.gated.ranges.size > 0 && !isPoliced(facts, attachment)
              ? { via: podsGateName }
              : {}),
          },
        ],
        routes: attachment.ips.map((ip) => ({
          prefix: hostPrefix(ip),
          paths: [{ kind: 'forward', interface: name, nextHop: ip }],
        })),
        linkStates: [{ interface: name, up: true }],
      },
      problems: [],
    };
  },
};

function planInterface(name: string, attachment: Attachment): InterfaceRow {
  const { mtu, gatewayMac: mac } = attachment;
  if (attachment.kind === 'veth')
    return {
      name,
      kind: 'afPacket',
      role: 'pod',
      hostInterface: attachment.hostInterface,
      mac,
      mtu,
    };
  const { netns, ifName, mac: podMac } = attachment;
  return { name, kind: 'tap', role: 'pod', netns, podInterface: ifName, podMac, mac, mtu };
}
