import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createNamespaces, type TestNamespaces } from './namespaces.ts';

export interface UplinkNode extends TestNamespaces {
  readonly namespace: string;
  readonly stateFile: string;
}

/** A network (1) and a node (0) with an uplink eth0, two families, and a management interface. */
export function createNode(): UplinkNode {
  const spaces = createNamespaces('up', 2);
  const [namespace = '', network = ''] = spaces.paths;
  const name = network.slice(network.lastIndexOf('/') + 1);
  const folder = mkdtempSync(join(tmpdir(), 'kvr-up-'));
  spaces.run(
    0,
    `ip link add eth0 address 02:00:00:00:00:10 type veth peer name net0 netns ${name}
     ip link add mgmt0 type veth peer name mgmt1 netns ${name}
     for d in eth0 mgmt0; do ip link set $d up; done`,
  );
  spaces.run(
    1,
    `for d in net0 mgmt1; do ip link set $d up; done
     ip addr add 192.0.2.254/24 dev net0; ip -6 addr add 2001:db8::fe/64 dev net0 nodad`,
  );
  spaces.run(
    0,
    `ip addr add 192.0.2.1/24 dev eth0; ip addr add 192.0.2.7/24 dev eth0
     ip -6 addr add 2001:db8::1/64 dev eth0 nodad
     ip addr add 198.51.100.5/24 dev mgmt0; ip route add default via 198.51.100.1 metric 500
     ip -6 addr add 2001:db8:5::5/64 dev mgmt0 nodad
     ip route add default via 192.0.2.254 metric 100
     ip route add 203.0.113.0/24 via 192.0.2.253
     ip -6 route add default via 2001:db8::fe
     sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1`,
  );
  return {
    ...spaces,
    namespace,
    stateFile: join(folder, 'made', 'uplink.json'),
    [Symbol.dispose]() {
      spaces[Symbol.dispose]();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

/** Everything that a claim changes and a release must bring back, as text. */
export function picture(node: TestNamespaces): string {
  return node.run(
    0,
    `ip -o addr | grep -v ' fe80:' | sed 's/^[0-9]*: //; s/tentative//; s/  */ /g' | sort
     ip route show table all | grep -v 'table local' | sed 's/  */ /g; s/ $//' | sort
     ip -6 route show table all | grep -v '^fe80:\\|table local' | sed 's/  */ /g' | sort
     ip -o link show eth0 | sed 's/^[0-9]*: //'
     for s in ipv4/conf/eth0/rp_filter ipv4/conf/eth0/forwarding ipv6/conf/eth0/disable_ipv6; do
       cat /proc/sys/net/$s; done
     ethtool -k eth0 | grep -v fixed`,
  );
}

/** Both families' routes of the main table, a line each. */
export const routes = (node: TestNamespaces) =>
  node
    .run(0, 'ip route; ip -6 route | grep -v "^fe80::/64"')
    .trimEnd()
    .split('\n')
    .map((line) => line.trimEnd());
