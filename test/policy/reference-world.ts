import assert from 'node:assert/strict';
import { ip } from '../../src/core/ip.ts';
import type { ContainerPort, Protocol } from '../../src/model/facts.ts';
import { node, pod } from '../facts.ts';
import { namespace } from './objects.ts';
import { type Cluster, type Packet, verdict } from './reference.ts';

export const web = '10.244.1.2';
export const web6 = 'fd00:1::2';
export const cli = '10.244.1.3';
export const cli6 = 'fd00:1::3';
export const db = '10.244.2.2';
export const db6 = 'fd00:2::2';
export const job = '10.244.2.9';
export const outside = '198.51.100.7';
export const ownNode = '192.0.2.1';
export const otherNode = '192.0.2.2';

/**
 * Of `a`: `web` and `cli`, on the node that asks. Of `b`: `db`, elsewhere. Then one pod of `b` that
 * ended and one on the host's network.
 */
export const world: Cluster = {
  namespaces: [namespace('a', { team: 'x' }), namespace('b', { team: 'y' })],
  pods: [
    pod('a/web', {
      ips: [ip(web), ip(web6)],
      labels: { app: 'web' },
      ports: [named('http', 'TCP', 8080), named('dns', 'TCP', 53), named('dns', 'UDP', 5353)],
    }),
    pod('a/cli', { ips: [ip(cli), ip(cli6)], labels: { app: 'cli', old: '' } }),
    pod('b/db', {
      ips: [ip(db), ip(db6)],
      labels: { app: 'db' },
      node: 'n2',
      ports: [named('http', 'TCP', 9090)],
    }),
    pod('b/job', { ips: [ip(job)], labels: { app: 'job' }, node: 'n2', phase: 'Succeeded' }),
    pod('b/host', { ips: [ip(otherNode)], node: 'n2', hostNetwork: true }),
  ],
  policies: [],
  clusterPolicies: [],
  nodes: [
    node('n1', 1, { internalIps: [ip(ownNode), ip('2001:db8::1')], labels: { zone: 'x' } }),
    node('n2', 2, { labels: { zone: 'y' } }),
  ],
  nodeName: 'n1',
};

export interface Case {
  readonly name: string;
  readonly given: Partial<Cluster>;
  /** `from > to protocol port: verdict` */
  readonly packets: readonly string[];
}

/** A test of the reference for each case. */
export function testCases(cases: readonly Case[]): void {
  for (const { name, given, packets } of cases)
    it(name, () => {
      for (const line of packets) {
        const { packet, expected } = parsePacket(line);
        assert.equal(verdict({ ...world, ...given }, packet), expected, line);
      }
    });
}

export function parsePacket(line: string): { readonly packet: Packet; readonly expected: string } {
  const match = /^(\S+) > (\S+) (\S+) (\d+): (\w+)$/.exec(line);
  assert.ok(match, line);
  const [, from = '', to = '', protocol = '', port, expected = ''] = match;
  const parsed = /^\d+$/.test(protocol) ? Number(protocol) : (protocol as Packet['protocol']);
  return {
    packet: { from: ip(from), to: ip(to), protocol: parsed, port: Number(port) },
    expected,
  };
}

export function named(name: string, protocol: Protocol, containerPort: number): ContainerPort {
  return { name, protocol, containerPort, hostPort: 0, hostIp: '' };
}
