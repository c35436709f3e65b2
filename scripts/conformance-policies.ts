import type { ConformanceRule } from './conformance-rules.ts';

/** networking.k8s.io/v1 NetworkPolicy. */
export const networkPolicyRules: readonly ConformanceRule[] = [
  { id: 'NP-01', rule: 'selectors of pods; an absent label is in no set' },
  { id: 'NP-02', rule: 'policyTypes, and what they are when absent' },
  { id: 'NP-03', rule: 'isolation per direction; the union of all policies' },
  { id: 'NP-04', rule: 'empty and absent rules, peers and ports' },
  { id: 'NP-05', rule: 'forms of peers, and which are and or or' },
  { id: 'NP-06', rule: "namespaces' labels and their change" },
  { id: 'NP-07', rule: 'ipBlock with exceptions; pods inside of it' },
  { id: 'NP-08', rule: '::/0 and 0.0.0.0/0, each family for itself' },
  {
    id: 'NP-09',
    rule: 'ports and protocols',
    different:
      "VPP's filters see no ports of SCTP. A rule that allows ports of SCTP allows none, except all of them (no port, or 1 to 65535); one that denies ports of SCTP denies all of it.",
  },
  { id: 'NP-10', rule: 'endPort' },
  { id: 'NP-11', rule: 'named ports, of each destination' },
  { id: 'NP-12', rule: 'egress to a Service is egress to its endpoint' },
  { id: 'NP-13', rule: 'ingress from NodePorts and load balancers' },
  {
    id: 'NP-14',
    rule: 'replies pass; open connections when policies change',
    different:
      'an open connection that is no longer allowed ends at its next packet from the side that opened it. What the other side sends of itself is a flow of its own, by its own egress: where that is allowed, its answers pass, and a transfer that the server drives goes on.',
  },
  { id: 'NP-15', rule: 'the own node reaches its pods' },
  { id: 'NP-16', rule: 'pods of the host network' },
  { id: 'NP-17', rule: 'a pod reaches itself' },
  { id: 'NP-18', rule: 'pods that ended, and who has their address' },
  { id: 'NP-19', rule: 'isolation from the first instant' },
  { id: 'NP-20', rule: 'dual stack' },
  {
    id: 'NP-21',
    rule: 'ICMP',
    different:
      'errors of ICMP and neighbour discovery pass to and from every pod, also those that belong to no flow: VPP does not know which flow an error is about.',
  },
  {
    id: 'NP-22',
    rule: 'fragments',
    different:
      'whole datagrams are allowed or denied by their first fragment, but later fragments, which have no ports in VPP, always pass: a pod gets those of a denied datagram too, and can make nothing of them.',
  },
  { id: 'NP-23', rule: 'protocols without ports' },
  {
    id: 'NP-24',
    rule: 'what is denied is dropped, in silence or with an answer',
    different:
      'silence is the default. With `policy.denied: refuse` the daemon answers TCP and UDP by ICMP, some 0.1 s later and 100 times a second at most.',
  },
  { id: 'NP-25', rule: 'changes open and close nothing in between' },
  { id: 'NP-26', rule: 'the last policy goes' },
  { id: 'NP-27', rule: 'restarts of the daemon and of VPP' },
  {
    id: 'NP-28',
    rule: 'mistakes are Events, there is no status',
    embedded: 'what is told to the API server; no packet is involved',
  },
  {
    id: 'NP-29',
    rule: 'the cost is that of the change',
    embedded: 'counted: what is planned anew, and what stays the same value',
  },
  {
    id: 'NP-30',
    rule: 'policies for further interfaces of a pod',
    different: 'a pod has one interface here, and MultiNetworkPolicy is not read.',
  },
];

/** policy.networking.k8s.io/v1alpha2 ClusterNetworkPolicy. */
export const clusterNetworkPolicyRules: readonly ConformanceRule[] = [
  {
    id: 'CNP-01',
    rule: 'the API, which may not be installed',
    embedded: 'what is watched, before any packet',
  },
  { id: 'CNP-02', rule: 'tier, priority, subject and rules of a policy' },
  { id: 'CNP-03', rule: 'Accept, Deny and Pass' },
  { id: 'CNP-04', rule: 'Admin, NetworkPolicies, Baseline; lower priorities first' },
  {
    id: 'CNP-05',
    rule: 'peers: namespaces, pods, networks, nodes',
    different:
      'domainNames (experimental) are not known: a rule with them fails closed (CNP-07), so it accepts nothing.',
  },
  {
    id: 'CNP-06',
    rule: 'protocols, ranges and named ports',
    different: 'ports of SCTP, as NP-09 says.',
  },
  { id: 'CNP-07', rule: 'a rule that cannot be read fails closed' },
  { id: 'CNP-08', rule: 'pods of the host network are neither subject nor peer' },
  { id: 'CNP-09', rule: 'a pod that reaches itself through a Service is subject' },
  { id: 'CNP-10', rule: 'what is accepted brings replies and errors of ICMP with it' },
];
