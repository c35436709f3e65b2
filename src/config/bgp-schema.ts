import { z } from 'zod';
import { addressBits, familyOf, parsePrefix } from '../core/ip.ts';
import { type BgpPeerConfig, bfdBounds, noBfd, type PrefixFilter } from '../model/bgp-config.ts';
import {
  absolutePath,
  address,
  addresses,
  communities,
  labels,
  listMax,
  meta,
  portNumber,
  prefix,
  prefixes,
  routerId,
  socketPath,
} from './fields.ts';

/** The part of the configuration that network administrators tune. */
const asn = z.int().min(1).max(4294967294);
/** RFC 4271 section 4.2: zero or at least three seconds; we want to see a dead neighbour. */
const holdTime = z.int().min(3).max(65535);
const u32 = z.int().min(0).max(4294967295);

/** `10.0.0.0/8`, `10.0.0.0/8 le 24`, `10.0.0.0/8 ge 16 le 24`. */
const prefixFilter = z.string().transform((text, context): PrefixFilter => {
  const match = /^(\S+?)(?:\s+ge\s+(\d{1,3}))?(?:\s+le\s+(\d{1,3}))?$/.exec(text.trim());
  const of = parsePrefix(match?.[1] ?? '');
  if (of !== undefined) {
    const length = Number(of.slice(of.indexOf('/') + 1));
    const bits = addressBits(familyOf(of));
    const min = match?.[2] === undefined ? length : Number(match[2]);
    const max = match?.[3] === undefined ? bits : Number(match[3]);
    if (length <= min && min <= max && max <= bits) return { prefix: of, min, max };
  }
  const message = `not a filter such as 10.0.0.0/8 or 10.0.0.0/8 ge 16 le 24: ${JSON.stringify(text)}`;
  context.addIssue({ code: 'custom', message });
  return z.NEVER;
});

const filters = z.array(prefixFilter).max(listMax).default([]);
const preference = u32.optional().transform((value): number | undefined => value);
/** Set by a policy, where GoBGP takes 0 for none. */
const setPreference = z
  .int()
  .min(1)
  .max(4294967295)
  .optional()
  .transform((value): number | undefined => value);

/** GoBGP matches no link bandwidth. */
const matchable = communities.refine(
  (list) => list.every((one) => !one.startsWith('lb:')),
  'a route cannot be chosen by its link bandwidth (lb:…)',
);

const importSchema = z.strictObject({
  default: z.enum(['accept', 'reject']).default('accept'),
  accept: filters,
  reject: filters,
  acceptCommunities: matchable.default([]),
  rejectCommunities: matchable.default([]),
  defaultRoute: z.boolean().default(false),
  localPreference: setPreference,
});

const peerAdvertise = z
  .strictObject({
    podCidrs: z.boolean().default(true),
    services: z.boolean().default(true),
    communities: communities.default([]),
    localPreference: setPreference,
    med: preference,
    prepend: z.int().min(0).max(255).default(0),
    prependAsn: z.int().min(0).max(4294967294).default(0),
    nextHop: z.union([z.enum(['', 'self']), address]).default(''),
  })
  .prefault({});

const between = ([min, max]: readonly [number, number]) => z.int().min(min).max(max);
const bfdIntervalMs = between(bfdBounds.intervalMs);

const bfd = z
  .strictObject({
    enabled: z.boolean().default(noBfd.enabled),
    minTxMs: bfdIntervalMs.default(noBfd.minTxMs),
    minRxMs: bfdIntervalMs.default(noBfd.minRxMs),
    multiplier: between(bfdBounds.multiplier).default(noBfd.multiplier),
  })
  .prefault({});

const peerName = z
  .string()
  .max(63)
  .regex(/^[a-zA-Z0-9]([-_.a-zA-Z0-9]*[a-zA-Z0-9])?$/, 'must be a name');

/** The name of a file in `bgp.passwordsDir`. */
const passwordKey = z
  .string()
  .max(253)
  .regex(/^(?!\.{1,2}$)[-._a-zA-Z0-9]*$/, 'must be a key of a Secret');

const empty = z.literal('');

/** One entry of `bgp.peers`. A bad one is left out, alone. */
export const peerSchema = z
  .strictObject({
    name: peerName,
    address: z.union([empty, address]).default(''),
    range: z.union([empty, prefix]).default(''),
    asn,
    port: z.int().min(0).max(65535).default(0),
    nodeSelector: labels.default({}),
    localAddress: z.union([empty, address]).default(''),
    passwordKey: passwordKey.default(''),
    multihopTtl: z.int().min(0).max(255).default(0),
    ttlSecurityHops: z.int().min(0).max(254).default(0),
    holdTimeSeconds: z.union([z.literal(0), holdTime]).default(0),
    keepaliveSeconds: z.int().min(0).max(21845).default(0),
    connectRetrySeconds: z.int().min(0).max(65535).default(0),
    passive: z.boolean().default(false),
    families: z
      .array(z.union([z.literal(4), z.literal(6)]))
      .min(1)
      .max(2)
      .default([4, 6])
      .transform((list): (4 | 6)[] => [...new Set(list)].sort((a, b) => a - b)),
    gracefulRestartSeconds: z.int().min(-1).max(4095).default(-1),
    longLivedSeconds: z.int().min(-1).max(16777215).default(-1),
    maxPrefixes: u32.default(0),
    addPathReceive: z.boolean().default(false),
    addPathSend: z.int().min(0).max(255).default(0),
    bfd,
    advertise: peerAdvertise,
    import: importSchema.optional(),
  })
  .superRefine((peer, context) => {
    const wrong = (field: string, message: string) =>
      context.addIssue({ code: 'custom', path: [field], message });
    if ((peer.address === '') === (peer.range === ''))
      wrong('address', 'exactly one of address and range must be given');
    if (peer.bfd.enabled && peer.address === '')
      wrong('bfd', 'needs the address of one neighbour, not a range');
    if (peer.multihopTtl > 0 && peer.ttlSecurityHops > 0)
      wrong('ttlSecurityHops', 'cannot be used together with multihopTtl (RFC 5082)');
    const { localAddress: local, address: remote } = peer;
    if (local !== '' && remote !== '' && familyOf(local) !== familyOf(remote))
      wrong('localAddress', 'must be of the same IP family as address');
    if (peer.holdTimeSeconds > 0 && peer.keepaliveSeconds * 3 > peer.holdTimeSeconds)
      wrong('keepaliveSeconds', 'must be at most a third of the hold time');
  });

/** Compile-time proof that an entry is what the planners read. */
export type CheckedPeer = z.output<typeof peerSchema> extends BgpPeerConfig ? BgpPeerConfig : never;

/** How the addresses of a load balancer pool are announced. */
export const poolBgp = z
  .strictObject({
    communities: communities.default([]),
    localPreference: preference,
    med: preference,
    peers: z.array(peerName).max(listMax).default([]),
  })
  .prefault({});

const advertise = meta(
  z
    .strictObject({
      podCidrs: z.boolean().default(true),
      clusterIps: z.boolean().default(false),
      externalIps: z.boolean().default(false),
      loadBalancerIps: z.boolean().default(false),
      serviceSelector: labels.default({}),
      needEndpoints: z.boolean().default(true),
      aggregates: prefixes.prefault([]),
      communities: communities.default([]),
      localPreference: preference,
      med: preference,
      linkBandwidth: u32.default(0),
    })
    .prefault({}),
  {
    description:
      "What this node announces to neighbours outside of the mesh: `podCidrs`, `clusterIps`, `externalIps`, `loadBalancerIps` (a Service's annotation wins), of Services with the labels `serviceSelector`, and with `needEndpoints` only while the Service has a usable endpoint. `aggregates` are announced instead of the addresses inside. `communities`, `localPreference` and `med` go with every route. `linkBandwidth` is bytes a second of one local endpoint: upstream routers weight by it. See docs/bgp.md.",
  },
);

const drain = meta(
  z
    .strictObject({
      gracefulSeconds: z.int().min(0).max(3600).default(30),
      taints: z
        .array(z.string().max(317))
        .max(listMax)
        .default(['node.kubernetes.io/out-of-service', 'ToBeDeletedByClusterAutoscaler']),
      onCordon: z.boolean().default(true),
    })
    .prefault({}),
  {
    description:
      'How a node leaves: its Service routes carry GRACEFUL_SHUTDOWN (RFC 8326) for `gracefulSeconds`, then they are withdrawn. It leaves when it has one of `taints`, shuts down, is deleted, has no network, or the label `node.kubernetes.io/exclude-from-external-load-balancers`. With `onCordon` the routes of a cordoned node carry the community, and stay.',
  },
);

const holdDown = meta(
  z
    .strictObject({
      flaps: z.int().min(1).max(1000).default(5),
      windowSeconds: z.int().min(1).max(3600).default(60),
      seconds: z.int().min(0).max(3600).default(60),
    })
    .prefault({}),
  {
    description:
      'After `flaps` withdrawals of a Service within `windowSeconds` its routes stay withdrawn for `seconds`; 0: off.',
  },
);

export const bgp = z
  .strictObject({
    enabled: meta(z.boolean().default(true), {
      description: 'False: no routes are announced or learned.',
      restart: true,
    }),
    apiSocket: meta(socketPath.default('/run/kube-vpp-router/gobgp.sock'), {
      description: "Unix socket of GoBGP's gRPC API (`gobgpd --api-hosts unix://…`).",
      restart: true,
    }),
    asn: meta(asn.default(64512), {
      description:
        "Autonomous system of the nodes (RFC 6793; 0 and 4294967295 are reserved). A Node's annotation `kube-router.io/node.asn` wins.",
    }),
    port: meta(portNumber.default(179), { description: 'TCP port of the BGP speakers.' }),
    routerId: meta(routerId.default(''), {
      description: "BGP identifier. Empty: the node's first IPv4 address.",
    }),
    listenAddresses: meta(addresses.prefault([]), {
      description:
        "Addresses to listen on. Empty: the node's own. Other ones count when gobgpd starts again.",
    }),
    holdTimeSeconds: meta(holdTime.default(90), {
      description: 'Proposed hold time (RFC 4271 section 4.2).',
    }),
    keepaliveSeconds: meta(z.int().min(0).max(21845).default(0), {
      description: 'Seconds between keepalives. 0: a third of the hold time.',
    }),
    connectRetrySeconds: meta(z.int().min(1).max(65535).default(5), {
      description: 'Seconds between attempts to connect; GoBGP waits at least 5.',
    }),
    gracefulRestartSeconds: meta(z.int().min(0).max(4095).default(120), {
      description:
        'For how long neighbours keep our routes while gobgpd is away (RFC 4724); VPP forwards meanwhile. 0: off.',
    }),
    longLivedSeconds: meta(z.int().min(0).max(16777215).default(0), {
      description: 'After that, for how long as routes of last resort (RFC 9494). 0: off.',
    }),
    nodeMesh: meta(z.boolean().default(true), {
      description:
        'Sessions between all nodes of one AS, or with its route reflectors where Nodes have the annotations `kube-router.io/rr.server` and `rr.client`.',
    }),
    nodePasswordKey: meta(passwordKey.default(''), {
      description: 'Key of the password of the sessions between nodes. Empty: none.',
    }),
    passwordsDir: meta(z.union([empty, absolutePath]).default(''), {
      description:
        'Directory where a Secret with the passwords of sessions is mounted: one file per key. Read again when it changes.',
    }),
    peers: meta(z.array(peerSchema).max(listMax).default([]), {
      description:
        'Neighbours outside of the mesh. A bad entry is left out, with an Event and a line of `kvr show errors`; the others are used. Fields: docs/bgp.md.',
    }),
    advertise,
    import: meta(importSchema.prefault({}), {
      description:
        'Which routes of neighbours are used: `reject` and `rejectCommunities` first, then `accept` and `acceptCommunities`, then `default`. `defaultRoute`: whether 0.0.0.0/0 and ::/0 are taken. `localPreference` is set on what is accepted. Prefixes: `10.0.0.0/8 ge 16 le 24`. A peer may have its own. Never used: what lies inside of our Services, pools and pods.',
    }),
    drain,
    holdDown,
  })
  .prefault({});
