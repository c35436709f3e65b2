import { cniCode, type Outcome, refused, succeeded } from './failure.ts';
import type { RawCall } from './wire.ts';

/** Versions of the CNI specification whose results we can word; the first is the default. */
export const cniVersions = ['1.1.0', '1.0.0', '0.4.0', '0.3.1', '0.3.0'] as const;
export type CniVersion = (typeof cniVersions)[number];

export type CniCommand = 'ADD' | 'DEL' | 'CHECK' | 'GC' | 'STATUS' | 'VERSION';
const commands: readonly CniCommand[] = ['ADD', 'DEL', 'CHECK', 'GC', 'STATUS', 'VERSION'];

/** A validated call of a container runtime. */
export interface Call {
  readonly command: CniCommand;
  readonly version: CniVersion;
  /** '' for GC, STATUS and VERSION, like the next two. */
  readonly containerId: string;
  /** '' also for a DEL whose namespace is gone. */
  readonly netns: string;
  readonly ifName: string;
  /** The Pod of an ADD. */
  readonly pod: { readonly key: string; readonly uid: string };
  /** The configuration's `dns`, passed through to the result. */
  readonly dns: unknown;
  /** GC: attachments that still exist, as `containerId/ifName`. */
  readonly validAttachments: ReadonlySet<string>;
}

/** Most attachments in one GC call. */
const validAttachmentsMax = 10_000;
const containerIdMaxBytes = 256;
const ifNameMaxBytes = 15; // IFNAMSIZ without its zero
const netnsMaxBytes = 4096; // PATH_MAX

/** The version to answer in, whatever else is wrong with the call. */
export function answerVersion(raw: RawCall): CniVersion {
  const config = parseObject(raw.get('stdin') ?? '');
  return versionOf(config?.cniVersion) ?? cniVersions[0];
}

/** Validates environment and configuration; a problem names its field. */
export function parseCall(raw: RawCall): Outcome<Call> {
  const command = commands.find((name) => name === raw.get('CNI_COMMAND'));
  if (command === undefined) return badEnvironment('CNI_COMMAND', raw.get('CNI_COMMAND'));
  const config = parseObject(raw.get('stdin') ?? '');
  if (config === undefined) {
    return refused(cniCode.decode, 'the network configuration is not a JSON object');
  }
  const version = versionOf(config.cniVersion);
  if (version === undefined) {
    const text = JSON.stringify(config.cniVersion);
    return refused(cniCode.incompatibleVersion, `cniVersion ${text} is not ${cniVersions.join()}`);
  }
  const empty: Call = {
    command,
    version,
    containerId: '',
    netns: '',
    ifName: '',
    pod: { key: '', uid: '' },
    dns: config.dns,
    validAttachments: new Set(),
  };
  const problem = configProblem(config);
  if (problem !== undefined) return problem;
  return withCommand(empty, { config, raw });
}

function withCommand(
  empty: Call,
  { config, raw }: { readonly config: Record<string, unknown>; readonly raw: RawCall },
): Outcome<Call> {
  switch (empty.command) {
    case 'VERSION':
    case 'STATUS':
      return succeeded(empty);
    case 'GC':
      return withValidAttachments(empty, config['cni.dev/valid-attachments']);
    case 'ADD':
    case 'CHECK':
    case 'DEL':
      return withContainer(empty, raw);
  }
}

function withContainer(call: Call, raw: RawCall): Outcome<Call> {
  const containerId = raw.get('CNI_CONTAINERID') ?? '';
  if (!isContainerId(containerId)) return badEnvironment('CNI_CONTAINERID', containerId);
  const ifName = raw.get('CNI_IFNAME') ?? '';
  if (!isIfName(ifName)) return badEnvironment('CNI_IFNAME', ifName);
  const netns = raw.get('CNI_NETNS') ?? '';
  // The namespace of a DEL may be gone, and its path with it.
  if (!isPath(netns) && !(call.command === 'DEL' && netns === '')) {
    return badEnvironment('CNI_NETNS', netns);
  }
  const found = { ...call, containerId, ifName, netns };
  return call.command === 'ADD' ? withPod(found, raw.get('CNI_ARGS') ?? '') : succeeded(found);
}

/** CNI_ARGS is `key=value` with semicolons; kubelet's runtimes name the Pod in it. */
function withPod(call: Call, text: string): Outcome<Call> {
  const args = new Map<string, string>();
  for (const part of text.split(';')) {
    const equals = part.indexOf('=');
    if (equals > 0) args.set(part.slice(0, equals), part.slice(equals + 1));
  }
  const namespace = args.get('K8S_POD_NAMESPACE') ?? '';
  const name = args.get('K8S_POD_NAME') ?? '';
  if (!isDnsName(namespace)) return badEnvironment('CNI_ARGS K8S_POD_NAMESPACE', namespace);
  if (!isDnsName(name)) return badEnvironment('CNI_ARGS K8S_POD_NAME', name);
  const uid = args.get('K8S_POD_UID') ?? '';
  if (!/^[0-9A-Za-z-]{0,63}$/.test(uid)) return badEnvironment('CNI_ARGS K8S_POD_UID', uid);
  return succeeded({ ...call, pod: { key: `${namespace}/${name}`, uid } });
}

function withValidAttachments(call: Call, value: unknown): Outcome<Call> {
  const field = 'cni.dev/valid-attachments';
  // Required: without it, GC would mean that nothing exists any more.
  if (!Array.isArray(value)) return refused(cniCode.invalidConfig, `${field} is not a list`);
  if (value.length > validAttachmentsMax) {
    return refused(cniCode.invalidConfig, `${field} has more than ${validAttachmentsMax} entries`);
  }
  const valid = new Set<string>();
  for (const [i, entry] of value.entries()) {
    const { containerID, ifname } = isObject(entry) ? entry : {};
    if (typeof containerID !== 'string' || typeof ifname !== 'string') {
      return refused(cniCode.invalidConfig, `${field}[${i}] lacks containerID or ifname`);
    }
    valid.add(`${containerID}/${ifname}`);
  }
  return succeeded({ ...call, validAttachments: valid });
}

function configProblem(config: Record<string, unknown>) {
  const { name, ipam } = config;
  if (typeof name !== 'string' || !/^[A-Za-z0-9][A-Za-z0-9_.-]*$/.test(name)) {
    return refused(cniCode.invalidConfig, 'name is missing or not a network name');
  }
  if (isObject(ipam) && ipam.type !== undefined && ipam.type !== '') {
    return refused(
      cniCode.unsupportedField,
      `ipam.type ${JSON.stringify(ipam.type)}: addresses come from the Node's podCIDRs`,
    );
  }
  return undefined;
}

function badEnvironment(field: string, value: string | undefined) {
  const shown = value === undefined ? 'not set' : JSON.stringify(value.slice(0, 80));
  return refused(cniCode.invalidEnvironment, `${field} is missing or invalid: ${shown}`);
}

/** A configuration without a version is 0.1.0 by the specification, which we do not speak. */
function versionOf(value: unknown): CniVersion | undefined {
  return cniVersions.find((version) => version === value);
}

function parseObject(text: string): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return isObject(value) ? value : undefined;
  } catch {
    // Not JSON is the same to the caller as JSON that is not an object.
    return undefined;
  }
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function isContainerId(text: string): boolean {
  return text.length <= containerIdMaxBytes && /^[A-Za-z0-9][A-Za-z0-9_.-]*$/.test(text);
}

/** What the kernel takes (dev_valid_name) and a sysctl path can hold. */
function isIfName(text: string): boolean {
  if (text === '.' || text === '..') return false;
  return Buffer.byteLength(text) <= ifNameMaxBytes && /^[^\s/:\0]+$/.test(text);
}

function isPath(text: string): boolean {
  return text.startsWith('/') && text.length < netnsMaxBytes && !text.includes('\0');
}

/** RFC 1123 subdomain: names of Pods and namespaces. */
function isDnsName(text: string): boolean {
  return text.length <= 253 && /^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$/.test(text);
}
