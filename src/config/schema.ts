import { z } from 'zod';
import { parseRange } from '../core/address-range.ts';
import { controlSocketDefault } from '../core/control-api.ts';
import type { Config } from '../model/config.ts';
import { encapsulations } from '../model/encapsulation.ts';
import { bgp, poolBgp } from './bgp-schema.ts';
import {
  absolutePath,
  address,
  interfaceName,
  labels,
  listMax,
  meta,
  nodeName,
  portNumber,
  portRange,
  prefixes,
  serverUrl,
  socketPath,
} from './fields.ts';

/**
 * The configuration file as a schema: shape, bounds, defaults and the sentence that documents
 * each field. docs/config.md is generated from it, so there is one place to change.
 *
 * `restart` marks a field whose new value takes effect only when the daemon starts again (a
 * socket that is open, a name that everything hangs on). All others are live: they are facts
 * like any other, and the planners plan with the new value.
 */
/** RFC 8200 section 5: no link with IPv6 may have less. */
const podMtu = z
  .int()
  .min(0)
  .max(9000)
  .refine((bytes) => bytes === 0 || bytes >= 1280, 'must be 0 or at least 1280 (RFC 8200)');

const kube = z
  .strictObject({
    kubeconfig: meta(z.union([z.literal(''), absolutePath]).default(''), {
      description: 'Path of a kubeconfig. Empty: the service account of the pod.',
      restart: true,
    }),
    server: meta(serverUrl.default(''), {
      description:
        'Replaces the server that the credentials name: `https://…`, `http://…` or `unix:/path`. Set it in a cluster: the router must not need the `kubernetes` Service that it programs.',
      restart: true,
      examples: ['https://192.0.2.10:6443'],
    }),
  })
  .prefault({});

const vpp = z
  .strictObject({
    apiSocket: meta(socketPath.default('/run/vpp/api.sock'), {
      description: "Unix socket of VPP's binary API (`socksvr { socket-name … }`).",
      restart: true,
    }),
    statsSocket: meta(socketPath.default('/run/vpp/stats.sock'), {
      description: "Unix socket of VPP's stats segment (`statseg { socket-name … }`).",
      restart: true,
    }),
    tmpDir: meta(absolutePath.default('/tmp'), {
      description:
        "VPP's `/tmp` as the daemon sees it. VPP writes there what it captured (`policy.log`, `policy.denied`).",
      restart: true,
    }),
  })
  .prefault({});

const pods = z
  .strictObject({
    interfaceKind: meta(z.enum(['auto', 'veth', 'tap']).default('auto'), {
      description:
        "Kind of a new pod's interface. `auto`: tap where `/dev/vhost-net` exists, otherwise veth.",
    }),
    mtu: meta(podMtu.default(0), {
      description:
        "Bytes of a pod's packet; for new pods. 0: the uplink's MTU less what `overlay.encapsulation` adds (over IPv4: ipip 20, gre 24, vxlan 50; over IPv6 20 more; `mode: none` 0). Otherwise at least 1280.",
    }),
    clusterCidrs: meta(prefixes.prefault([]), {
      description: 'Prefixes of the pods of the whole cluster, v4 and v6: never masqueraded.',
      examples: ['10.244.0.0/16'],
    }),
  })
  .prefault({});

const services = z
  .strictObject({
    cidrs: meta(prefixes.prefault([]), {
      description:
        "The API server's service prefixes. What no Service translates is answered with ICMP unreachable instead of leaking to the default route.",
      examples: ['10.96.0.0/16'],
    }),
    nodePortAddresses: meta(prefixes.prefault([]), {
      description: "NodePorts answer on the node's addresses inside these. Empty: on all of them.",
    }),
    nodePortRange: meta(portRange.prefault('30000-32767'), {
      description:
        "First and last NodePort: `--service-node-port-range` of the API server. The node's own processes reach these ports of the node through VPP.",
    }),
    externalIpRanges: meta(prefixes.prefault([]), {
      description:
        'Addresses of `spec.externalIPs` are served inside these prefixes only, so that nobody takes over an address that is not theirs to give. Empty: external IPs are not served (Kubernetes is about to remove them, KEP-5707).',
      examples: ['203.0.113.0/24'],
    }),
    strictSourceRanges: meta(z.boolean().default(false), {
      description:
        'True: where `loadBalancerSourceRanges` name prefixes of one IP family only, the addresses of the other family let nobody in. False: they are open to all, as with kube-proxy.',
    }),
    drainSeconds: meta(z.int().min(0).max(3600).default(60), {
      description:
        'For how long, at most, connections to terminating endpoints are kept while new ones go elsewhere. Meanwhile VPP ends no session of any Service. 0: they end within seconds.',
    }),
  })
  .prefault({});

const policy = z
  .strictObject({
    denied: meta(z.enum(['drop', 'refuse']).default('drop'), {
      description:
        "What becomes of packets that a policy denies. `drop`: nothing is heard of them. `refuse`: they are dropped, too, and the daemon answers with ICMP administratively prohibited, some 0.1 s later and at most 100 times a second. Takes VPP's only capture, as `policy.log` does. See docs/policy.md.",
    }),
    log: meta(
      z
        .strictObject({
          enabled: z.boolean().default(false),
          rate: z.int().min(1).max(1000).default(10),
        })
        .prefault({}),
      {
        description:
          "Denied flows in the daemon's log: `enabled` (default false), `rate` (lines a second at most, default 10; the same flow is told once a minute). Takes VPP's only capture (`pcap trace`); one that somebody else runs is left alone. See docs/policy.md.",
      },
    ),
  })
  .prefault({});

const addressRanges = z
  .array(
    z.string().refine((text) => parseRange(text).ok, 'must be a prefix or first-last addresses'),
  )
  .min(1)
  .max(listMax);

const pool = z.strictObject({
  name: z.string().regex(/^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$/, 'must be a name (RFC 1123)'),
  addresses: addressRanges,
  namespaces: z.array(z.string()).max(listMax).default([]),
  namespaceLabels: labels.default({}),
  serviceLabels: labels.default({}),
  autoAssign: z.boolean().default(true),
  bgp: poolBgp,
});

const loadBalancer = z
  .strictObject({
    class: meta(z.string().max(317).default(''), {
      description:
        '`spec.loadBalancerClass` of the Services that get addresses from the pools. Empty: those without a class.',
    }),
    leaseNamespace: meta(z.string().max(63).default('kube-system'), {
      description: 'Namespace of the Lease by which one daemon is chosen to give out addresses.',
      restart: true,
    }),
    pools: meta(z.array(pool).max(listMax).default([]), {
      description:
        'Addresses for Services of type LoadBalancer: `name`, `addresses` (prefixes, whose network and broadcast addresses are never used, or `first-last`), `namespaces` (names), `namespaceLabels`, `serviceLabels` (all must match), `autoAssign` (false: only for Services that ask for an address of it), `bgp` (`communities`, `localPreference`, `med`, `peers`: how its addresses are announced, and to whom). Empty: somebody else gives out addresses. See docs/load-balancer.md.',
    }),
  })
  .prefault({});

const overlay = z
  .strictObject({
    mode: meta(z.enum(['subnet', 'full', 'none']).default('subnet'), {
      description:
        'Which nodes are reached through a tunnel. `subnet`: those of another subnet; `full`: all; `none`: no node.',
    }),
    encapsulation: meta(z.enum(encapsulations).default('ipip'), {
      description:
        'How packets travel in tunnels to a node whose annotation `kube-vpp-router.io/encapsulation` does not say otherwise. `ipip`: protocols 4 and 41; `gre`: protocol 47; `vxlan`: UDP port 4789, for networks that let only TCP and UDP pass.',
    }),
    accept: meta(z.array(z.enum(encapsulations)).max(encapsulations.length).prefault([]), {
      description:
        'Encapsulations in which this node takes packets besides its own. To change `encapsulation` without loss: name the new and the old one here on all nodes, change it, empty the list again.',
      examples: ['gre'],
    }),
    vxlanVni: meta(z.int().min(1).max(16_777_215).default(4096), {
      description: 'VXLAN network identifier (RFC 7348); the same on all nodes.',
    }),
  })
  .prefault({});

function listener(what: string, port: number) {
  return z
    .strictObject({
      address: meta(address.prefault('127.0.0.1'), {
        description: `Address on which ${what} is served.`,
        restart: true,
      }),
      port: meta(portNumber.default(port), {
        description: `TCP port on which ${what} is served.`,
        restart: true,
      }),
    })
    .prefault({});
}

/** The file. `nodeName` has its default from the environment: `parseConfig`. */
export const configSchema = z.strictObject({
  nodeName: meta(nodeName, {
    description:
      "Name of this daemon's Node. Default: environment variable `NODE_NAME`, otherwise the host name.",
    restart: true,
  }),
  // Prefaulted although it has a required field: the problem then names that field.
  uplink: z
    .strictObject({
      interface: meta(interfaceName, {
        description: 'Kernel name of the network interface that VPP takes over. Required.',
        restart: true,
        examples: ['eth0'],
      }),
    })
    .prefault({} as { interface: string }),
  kube,
  vpp,
  pods,
  services,
  policy,
  loadBalancer,
  bgp,
  overlay,
  cni: z
    .strictObject({
      socket: meta(socketPath.default('/run/kube-vpp-router/cni.sock'), {
        description: 'Unix socket on which the CNI executable finds the daemon.',
        restart: true,
      }),
    })
    .prefault({}),
  stateDir: meta(absolutePath.default('/var/lib/kube-vpp-router'), {
    description:
      "Directory of what must survive a restart: address leases, attachments, the uplink's addresses.",
    restart: true,
  }),
  control: z
    .strictObject({
      socket: meta(socketPath.default(controlSocketDefault), {
        description: 'Unix socket on which `kvr` finds the daemon.',
        restart: true,
      }),
    })
    .prefault({}),
  // 10256 and 10249 are kube-proxy's ports (KP-52, KP-56): probes and scrapes need no change.
  health: listener('health (`/livez`, `/readyz`, `/healthz`)', 10256),
  metrics: listener('metrics (`/metrics`)', 10249),
  log: z
    .strictObject({
      level: meta(z.enum(['trace', 'debug', 'info', 'warn', 'error']).default('info'), {
        description: 'The least important lines that are logged.',
      }),
    })
    .prefault({}),
});

/** Compile-time proof that what the schema yields is what the rest of the daemon reads. */
export type CheckedConfig = z.output<typeof configSchema> extends Config ? Config : never;
