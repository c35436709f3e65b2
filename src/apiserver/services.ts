import {
  addressBits,
  type Family,
  familyOf,
  type Ip,
  ipFromBigInt,
  ipToBigInt,
  type Prefix,
  parseIp,
  prefixAddress,
  prefixContains,
  prefixLength,
} from '../core/ip.ts';
import {
  ApiError,
  asNumber,
  asObjects,
  asText,
  asTexts,
  type JsonObject,
  type KubeObject,
} from './objects.ts';

/**
 * What a real API server adds to a Service: cluster IPs from the service CIDRs by family policy,
 * node ports, and the defaults of its ports and session affinity.
 */
export interface ServiceAllocator {
  /** The Service with defaults and allocations; keeps those of `previous` where they still apply. */
  complete(service: KubeObject, previous: KubeObject | undefined): KubeObject;
  /** Gives everything of a deleted Service back. */
  release(service: KubeObject): void;
}

/** Kubernetes' default --service-node-port-range. */
const nodePortFirst = 30_000;
const nodePortLast = 32_767;

/** Kubernetes' default of sessionAffinityConfig.clientIP.timeoutSeconds: three hours. */
const affinityTimeoutSeconds = 10_800;

interface Pool<T> {
  take(): T;
  claim(value: T): boolean;
  release(value: T): void;
}

/** One or two service CIDRs; the first one's family is the default family. */
export function createServiceAllocator(cidrs: readonly Prefix[]): ServiceAllocator {
  const addresses = new Map(cidrs.map((cidr) => [familyOf(cidr), addressPool(cidr)]));
  const ports = nodePortPool();

  function release(spec: JsonObject | undefined): void {
    for (const text of asTexts(spec?.clusterIPs)) {
      const address = parseIp(text);
      if (address !== undefined) addresses.get(familyOf(address))?.release(address);
    }
    for (const port of nodePortsOf(spec)) ports.release(port);
  }

  function allocate(spec: JsonObject): JsonObject {
    if (spec.type === 'ExternalName') {
      const {
        clusterIP: _ip,
        clusterIPs: _ips,
        ipFamilies: _f,
        ipFamilyPolicy: _p,
        ...rest
      } = spec;
      return rest;
    }
    const withIps = { ...spec, ...allocateIps(spec, addresses, cidrs.map(familyOf)) };
    return allocateNodePorts(withIps, ports);
  }

  return {
    complete(service, previous) {
      const inherited = inherit(specWithDefaults(service.spec), previous?.spec);
      release(previous?.spec);
      try {
        return {
          ...service,
          spec: allocate(inherited),
          status: service.status ?? { loadBalancer: {} },
        };
      } catch (error) {
        reclaim(previous?.spec, addresses, ports);
        throw error;
      }
    },
    release: (service) => release(service.spec),
  };
}

/** Undoes a release after a refused change. */
function reclaim(
  spec: JsonObject | undefined,
  addresses: ReadonlyMap<Family, Pool<Ip>>,
  ports: Pool<number>,
): void {
  for (const text of asTexts(spec?.clusterIPs)) {
    const address = parseIp(text);
    if (address !== undefined) addresses.get(familyOf(address))?.claim(address);
  }
  for (const port of nodePortsOf(spec)) ports.claim(port);
}

function specWithDefaults(spec: JsonObject = {}): JsonObject {
  const type = asText(spec.type) || 'ClusterIP';
  const affinity = asText(spec.sessionAffinity) || 'None';
  const external = type === 'NodePort' || type === 'LoadBalancer';
  const ports = asObjects(spec.ports).map((port) => ({
    protocol: 'TCP',
    targetPort: port.port,
    ...port,
  }));
  return {
    ...(type === 'ExternalName' ? {} : { internalTrafficPolicy: 'Cluster' }),
    ...(external ? { externalTrafficPolicy: 'Cluster' } : {}),
    ...(type === 'LoadBalancer' ? { allocateLoadBalancerNodePorts: true } : {}),
    ...(affinity === 'ClientIP'
      ? { sessionAffinityConfig: { clientIP: { timeoutSeconds: affinityTimeoutSeconds } } }
      : {}),
    ...spec,
    ...(ports.length > 0 ? { ports } : {}),
    type,
    sessionAffinity: affinity,
  };
}

/** Cluster IPs and node ports that the new spec does not mention stay as they were. */
function inherit(spec: JsonObject, previous: JsonObject | undefined): JsonObject {
  if (previous === undefined || previous.type === 'ExternalName') return spec;
  const oldPorts = asObjects(previous.ports);
  const ports = asObjects(spec.ports).map((port) => {
    const { port: number, protocol } = port;
    const old = oldPorts.find((o) => o.port === number && o.protocol === protocol);
    const nodePort = asNumber(port.nodePort) || asNumber(old?.nodePort);
    return nodePort === 0 ? port : { ...port, nodePort };
  });
  const kept = ['clusterIP', 'clusterIPs', 'ipFamilies', 'ipFamilyPolicy', 'healthCheckNodePort'];
  const missing = kept.filter((field) => (spec[field] ?? '') === '' && field in previous);
  return {
    ...spec,
    ...Object.fromEntries(missing.map((field) => [field, previous[field]])),
    ...(ports.length > 0 ? { ports } : {}),
  };
}

function allocateIps(
  spec: JsonObject,
  pools: ReadonlyMap<Family, Pool<Ip>>,
  available: readonly Family[],
): JsonObject {
  const wanted = asTexts(spec.clusterIPs);
  const asked = wanted.length > 0 ? wanted : [asText(spec.clusterIP)].filter((t) => t !== '');
  if (asked[0] === 'None') {
    const families = available.slice(0, 1).map((f) => `IPv${f}`);
    return {
      ipFamilies: families,
      ipFamilyPolicy: 'SingleStack',
      ...spec,
      clusterIP: 'None',
      clusterIPs: ['None'],
    };
  }
  const policy = asText(spec.ipFamilyPolicy) || 'SingleStack';
  const families = familiesOf(spec, asked, policy, available);
  const ips = families.map((family, i) => {
    const pool = pools.get(family);
    if (pool === undefined) throw invalid(`no service CIDR for IPv${family}`);
    const text = asked[i];
    if (text === undefined) return pool.take();
    const address = parseIp(text);
    if (address === undefined || familyOf(address) !== family || !pool.claim(address)) {
      throw invalid(`spec.clusterIPs[${i}]: ${text} is not valid or already allocated`);
    }
    return address;
  });
  return {
    clusterIP: ips[0],
    clusterIPs: ips,
    ipFamilies: families.map((family) => `IPv${family}`),
    ipFamilyPolicy: policy,
  };
}

function familiesOf(
  spec: JsonObject,
  asked: readonly string[],
  policy: string,
  available: readonly Family[],
): readonly Family[] {
  const named = asTexts(spec.ipFamilies).map((name): Family => (name === 'IPv6' ? 6 : 4));
  const first =
    named[0] ?? (asked[0]?.includes(':') ? 6 : asked[0] === undefined ? available[0] : 4);
  if (first === undefined) throw invalid('this server has no service CIDR');
  if (policy === 'SingleStack') return [first];
  const second: Family = first === 4 ? 6 : 4;
  if (available.includes(second)) return [first, second];
  if (policy === 'RequireDualStack')
    throw invalid('spec.ipFamilyPolicy: this server is not dual-stack');
  return [first];
}

function allocateNodePorts(spec: JsonObject, pool: Pool<number>): JsonObject {
  const balanced = spec.type === 'LoadBalancer';
  const wanted =
    spec.type === 'NodePort' || (balanced && spec.allocateLoadBalancerNodePorts !== false);
  const claimed = new Set<number>();
  const ports = asObjects(spec.ports).map((port) => {
    const { nodePort, ...rest } = port;
    const asked = asNumber(nodePort);
    if (!wanted && !(balanced && asked !== 0)) return rest;
    if (asked === 0) return { ...rest, nodePort: pool.take() };
    // One Service may use a node port for TCP and for UDP.
    if (!claimed.has(asked) && !pool.claim(asked)) {
      throw invalid(`spec.ports.nodePort: ${asked} is out of range or taken`);
    }
    claimed.add(asked);
    return port;
  });
  const { healthCheckNodePort, ...rest } = spec;
  const checked = balanced && spec.externalTrafficPolicy === 'Local';
  const asked = asNumber(healthCheckNodePort);
  if (checked && asked !== 0) pool.claim(asked);
  return {
    ...rest,
    ...(ports.length > 0 ? { ports } : {}),
    ...(checked ? { healthCheckNodePort: asked === 0 ? pool.take() : asked } : {}),
  };
}

function nodePortsOf(spec: JsonObject | undefined): readonly number[] {
  const ports = asObjects(spec?.ports).map((port) => asNumber(port.nodePort));
  return [...ports, asNumber(spec?.healthCheckNodePort)].filter((port) => port !== 0);
}

/** Automatic addresses start behind the band that KEP-3070 leaves for addresses chosen by hand. */
function addressPool(cidr: Prefix): Pool<Ip> {
  const family = familyOf(cidr);
  const base = ipToBigInt(prefixAddress(cidr));
  const size = 1n << BigInt(addressBits(family) - prefixLength(cidr));
  const band = size / 16n < 16n ? 16n : size / 16n > 256n ? 256n : size / 16n;
  const used = new Set<Ip>();
  let next = band < size ? band : 1n;
  return {
    take() {
      for (let tried = 0n; tried < size; tried++) {
        const address = ipFromBigInt(base + next, family);
        next = next + 1n >= size - 1n ? 1n : next + 1n;
        if (used.has(address)) continue;
        used.add(address);
        return address;
      }
      throw new ApiError(500, 'InternalError', `the service CIDR ${cidr} is full`);
    },
    claim(address) {
      if (!prefixContains(cidr, address) || used.has(address)) return false;
      used.add(address);
      return true;
    },
    release: (address) => used.delete(address),
  };
}

function nodePortPool(): Pool<number> {
  const used = new Set<number>();
  let next = nodePortFirst;
  return {
    take() {
      for (let tried = nodePortFirst; tried <= nodePortLast; tried++) {
        const port = next;
        next = next === nodePortLast ? nodePortFirst : next + 1;
        if (used.has(port)) continue;
        used.add(port);
        return port;
      }
      throw new ApiError(500, 'InternalError', 'all node ports are taken');
    },
    claim(port) {
      if (port < nodePortFirst || port > nodePortLast || used.has(port)) return false;
      used.add(port);
      return true;
    },
    release: (port) => used.delete(port),
  };
}

function invalid(message: string): ApiError {
  return new ApiError(422, 'Invalid', message);
}
