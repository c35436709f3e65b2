import { ip } from '../../src/core/ip.ts';
import type { Attachment, ContainerPort, Namespace, Pod, Protocol } from '../../src/model/facts.ts';
import { attachment, config, pod } from '../facts.ts';
import { listOf, options, valuesOf } from './words.ts';

/** The namespace of what names none. */
export const defaultNamespace = 'd';

export function keyOf(name: string): string {
  return name.includes('/') ? name : `${defaultNamespace}/${name}`;
}

const phases = ['Pending', 'Running', 'Succeeded', 'Failed', 'Unknown'] as const;

/** The Pod that a line describes. `noIps`: its status does not say its addresses yet. */
export function podOf(name: string, words: readonly string[]): Pod {
  const given = options(words);
  return pod(keyOf(name), {
    labels: valuesOf(given.labels),
    node: given.node ?? config.nodeName,
    hostNetwork: words.includes('hostNetwork'),
    ips: words.includes('noIps') ? [] : addressesOf(words),
    phase: phases.find((phase) => phase === given.phase) ?? 'Running',
    ports: listOf(given.ports).map(portOf),
  });
}

/** `http:8080/tcp` */
function portOf(text: string): ContainerPort {
  const [, name = '', number, protocol = ''] = /^(.*):(\d+)\/(\w+)$/.exec(text) ?? [];
  const containerPort = Number(number);
  const upper = protocol.toUpperCase() as Protocol;
  return { name, protocol: upper, containerPort, hostPort: 0, hostIp: '' };
}

/** A pod of this node has an interface until it ends; one of the host's network has none. */
export function isAttached({ node, hostNetwork, phase }: Pod): boolean {
  return node === config.nodeName && !hostNetwork && phase !== 'Succeeded' && phase !== 'Failed';
}

export function attachmentOf(name: string, link: string, words: readonly string[]): Attachment {
  const ips = addressesOf(words);
  const key = keyOf(name);
  return { ...attachment(link, ips[0] ?? ''), pod: key, podUid: `uid-${key}`, ips };
}

export function namespaceOf(name: string, words: readonly string[]): Namespace {
  return { key: name, labels: { ...options(words), 'kubernetes.io/metadata.name': name } };
}

/** Of the words of a line, those that are addresses. */
function addressesOf(words: readonly string[]) {
  return words.filter((word) => !word.includes('=') && /[.:]/.test(word)).map(ip);
}
