import type { Pod, Protocol } from '../model/facts.ts';
import { type PortSpan, podsContain, podsSelect } from './contains.ts';
import {
  destinationsOf,
  type LintPolicy,
  type LintRule,
  type Report,
  spanWords,
  type World,
} from './lint-world.ts';

/** Mistakes in ports. */
export function lintPorts(world: World, policy: LintPolicy, report: Report): void {
  for (const rule of policy.rules) {
    if (rule.ports.length === 0) continue;
    const pods = destinationsOf(world, policy, rule);
    if (pods.length === 0) continue;
    const onlyPods =
      rule.direction === 'ingress' || rule.peers.every(({ reach }) => reach.kind === 'pods');
    for (const { field, span } of rule.ports) lintPort(pods, { field, span, onlyPods }, report);
  }
}

function lintPort(
  pods: readonly Pod[],
  { field, span, onlyPods }: { field: string; span: PortSpan; onlyPods: boolean },
  report: Report,
): void {
  const { protocol, port } = span;
  const same = pods.flatMap((pod) =>
    pod.ports.filter((one) =>
      typeof port === 'string'
        ? one.name === port
        : port[0] === port[1] && one.containerPort === port[0],
    ),
  );
  const others = [...new Set(same.map((one) => one.protocol))].sort();
  if (protocol !== undefined && others.length > 0 && !others.includes(protocol)) {
    if (onlyPods)
      report('warning', 'protocol', {
        field,
        written: `${spanWords(span)}${protocol === 'TCP' ? ' (TCP is what an absent protocol means)' : ''}: the containers have it for ${others.join(' and ')} only`,
        meant: `protocol: ${others[0]}`,
      });
    return;
  }
  if (typeof port !== 'string' || same.length > 0) return;
  const known = [...new Set(pods.flatMap((pod) => pod.ports.map((one) => one.name)))];
  const names = known.filter((name) => name !== '').sort();
  report('error', 'named-port', {
    field: `${field}.port`,
    written: `none of the ${pods.length} pods has a container port named ${port}: the port matches nothing`,
    meant:
      names.length === 0
        ? 'the number of the port'
        : `one of ${names.slice(0, namesShown).join(', ')}, or the number`,
  });
}

const namesShown = 6;
const dnsPort = 53;

/** Pods that may send, but not ask for a name. */
export function lintDns(
  world: World,
  policy: LintPolicy,
  others: readonly LintPolicy[],
  report: Report,
): void {
  if (!limitsEgress(policy)) return;
  const pods = world.podsOf(policy.subject);
  const fellows = (pod: Pod | undefined) =>
    others.filter((other) =>
      pod === undefined
        ? podsContain(other.subject, policy.subject, world.labelsOf)
        : podsSelect(other.subject, pod, world.labelsOf),
    );
  // No pod yet: then what is true of every pod that may come.
  for (const pod of pods.length === 0 ? [undefined] : pods) {
    const rules = [policy, ...fellows(pod)].flatMap(egressRules);
    const lets = (protocol: Protocol) => rules.some((rule) => letsDns(world, rule, protocol));
    if (lets('UDP')) continue;
    const tcp = lets('TCP');
    report(rules.length === 0 ? 'info' : 'warning', 'no-dns', {
      field: 'spec.egress',
      written: `${pod === undefined ? 'the pods' : `pod ${pod.key}`} may send ${rules.length === 0 ? 'nothing' : 'some things'}, and no rule of any policy lets UDP port 53 out${tcp ? ' (TCP port 53 is let out: an absent protocol means TCP)' : ''}: names are not resolved`,
      meant: 'a rule with UDP and TCP port 53 to the name servers, if the pods use names',
    });
    return;
  }
}

function limitsEgress({ source }: LintPolicy): boolean {
  return (
    source.kind === 'namespaced' &&
    source.policy.mode === 'enforce' &&
    source.policy.policyTypes.includes('Egress')
  );
}

/** Rules that let something out. */
function egressRules(policy: LintPolicy): readonly LintRule[] {
  const { source } = policy;
  if (source.kind === 'namespaced' && !source.policy.policyTypes.includes('Egress')) return [];
  if (source.kind === 'cluster' && source.policy.tier !== 'Admin') return [];
  return policy.rules.filter(
    (rule) => rule.direction === 'egress' && (rule.action ?? 'Accept') === 'Accept',
  );
}

function letsDns(world: World, { traffic }: LintRule, protocol: Protocol): boolean {
  return (
    traffic.ports === 'all' ||
    traffic.ports.some(({ protocol: given, port }) => {
      if (given !== undefined && given !== protocol) return false;
      return typeof port === 'string'
        ? world.portsNamed(port, protocol).has(dnsPort)
        : port[0] <= dnsPort && dnsPort <= port[1];
    })
  );
}
