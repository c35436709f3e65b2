import koffi from 'koffi';
import { ipFromBytes, type Prefix, prefixOf } from '../core/ip.ts';
import { checkCall, libc } from './libc.ts';
import { inNamespace, ownNamespace } from './namespace.ts';
import { isErrno } from './netlink-error.ts';
import {
  attributeText,
  type NetlinkMessage,
  parseAttributes,
  parseMessages,
} from './netlink-wire.ts';

/** What a claim depends on in the kernel: the events about anything else are dropped. */
export interface Watched {
  /** Indexes of our interfaces. */
  readonly links: ReadonlySet<number>;
  /** Their names: one that is made again has another index. */
  readonly names: ReadonlySet<string>;
  /** Destinations of our routes: another interface's route can take the place of ours. */
  readonly prefixes: ReadonlySet<Prefix>;
  /** Routing tables that only we, or only our rules, use. */
  readonly tables: ReadonlySet<number>;
}

/** The first and last type of each sort of event: `RTM_NEWLINK` to `RTM_DELRULE`. */
const types = { link: [16, 17], address: [20, 21], route: [24, 25], neighbour: [28, 29] } as const;
const ruleTypes = [32, 33] as const;
const ifla = { name: 3 } as const;
const rta = { destination: 1, link: 4, multipath: 9, table: 15 } as const;
const fraTable = 15;
const afInet = 2;
const hopHeaderBytes = 8;

/** Whether an event may mean that something of a claim was undone. Pure. */
export function concerns(watched: Watched, { type, payload }: NetlinkMessage): boolean {
  const is = ([first, last]: readonly [number, number]) => type === first || type === last;
  if (payload.length < 12) return is(types.address) && isOurAddress(watched, payload);
  if (is(types.route)) return isOurRoute(watched, payload);
  if (is(types.link)) return isOurLink(watched, payload);
  if (is(types.address)) return isOurAddress(watched, payload);
  if (is(types.neighbour)) return watched.links.has(payload.readInt32LE(4));
  if (!is(ruleTypes)) return false;
  const table = parseAttributes(payload.subarray(12)).get(fraTable);
  return watched.tables.has(numberOf(table) ?? payload.readUInt8(4));
}

function numberOf(bytes: Buffer | undefined): number | undefined {
  return bytes === undefined || bytes.length < 4 ? undefined : bytes.readUInt32LE(0);
}

function isOurAddress(watched: Watched, payload: Buffer): boolean {
  return payload.length >= 8 && watched.links.has(payload.readUInt32LE(4));
}

function isOurLink(watched: Watched, payload: Buffer): boolean {
  if (watched.links.has(payload.readInt32LE(4))) return true;
  return watched.names.has(attributeText(parseAttributes(payload.subarray(16)).get(ifla.name)));
}

function isOurRoute(watched: Watched, payload: Buffer): boolean {
  const attributes = parseAttributes(payload.subarray(12));
  const link = numberOf(attributes.get(rta.link));
  if (link !== undefined && watched.links.has(link)) return true;
  const table = numberOf(attributes.get(rta.table)) ?? payload.readUInt8(4);
  if (watched.tables.has(table) && table !== tableLocal) return true;
  const hops = attributes.get(rta.multipath);
  if (hops !== undefined && hopLinks(hops).some((hop) => watched.links.has(hop))) return true;
  const destination = destinationOf(payload, attributes.get(rta.destination));
  return destination !== undefined && watched.prefixes.has(destination);
}

/** The local table is watched for its rule; its routes come and go with everybody's addresses. */
const tableLocal = 255;

function destinationOf(payload: Buffer, found: Buffer | undefined): Prefix | undefined {
  const bytes = payload.readUInt8(0) === afInet ? 4 : 16;
  const address = found ?? Buffer.alloc(bytes);
  const length = payload.readUInt8(1);
  if (address.length !== bytes || length > bytes * 8) return undefined;
  return prefixOf(ipFromBytes(address), length);
}

/** struct rtnexthop: u16 length, u8 flags, u8 hops, i32 index; then attributes. */
function hopLinks(bytes: Buffer): number[] {
  const links: number[] = [];
  for (let at = 0; at + hopHeaderBytes <= bytes.length; ) {
    const length = bytes.readUInt16LE(at);
    if (length < hopHeaderBytes || at + length > bytes.length) break;
    links.push(bytes.readInt32LE(at + 4));
    at += (length + 3) & ~3;
  }
  return links;
}

const afNetlink = 16;
const sockRawCloexec = 3 | 0o2000000;
const messageDontWait = 0x40;
const solSocket = 1;
const soReceiveBufferForce = 33;
/** Some 20,000 routes that change while the daemon is busy (measured); beyond, ENOBUFS. */
const receiveBufferBytes = 8 * 1024 * 1024;
/** Largest datagram: the kernel packs no events together, and one is far smaller. */
const receiveBytes = 65_536;
/** Datagrams that are read before other work has its turn. */
const turnDatagrams = 256;
/** RTMGRP_LINK, _NEIGH, _IPV4_IFADDR, _IPV4_ROUTE, _IPV4_RULE, _IPV6_IFADDR, _IPV6_ROUTE, IPv6 rules. */
const groups = 0x1 | 0x4 | 0x10 | 0x40 | 0x80 | 0x100 | 0x400 | 0x40000;

export interface KernelEventOptions {
  /** Path of the namespace; by default this process's own. */
  readonly namespace?: string | undefined;
  readonly onEvent: (message: NetlinkMessage) => void;
  /** Events were lost (ENOBUFS): whoever cares has to look at everything. */
  readonly onLost: () => void;
}

/** rtnetlink's events of one network namespace until disposed; does not keep the process alive. */
export function watchKernel({ namespace, onEvent, onLost }: KernelEventOptions): Disposable {
  const fd = inNamespace(namespace ?? ownNamespace, () =>
    checkCall('netlink socket', libc().socket(afNetlink, sockRawCloexec, 0)),
  );
  try {
    subscribe(fd);
  } catch (error) {
    libc().close(fd);
    throw error;
  }
  const buffer = Buffer.alloc(receiveBytes);
  let stopped = false;

  /** False when there is nothing more to read. */
  function readOne(): boolean {
    try {
      const length = checkCall('events', libc().recv(fd, buffer, buffer.length, messageDontWait));
      for (const message of parseMessages(buffer.subarray(0, length))) onEvent(message);
      return true;
    } catch (error) {
      if (isErrno(error, 'EINTR')) return true;
      if (isErrno(error, 'EAGAIN')) return false;
      if (!isErrno(error, 'ENOBUFS')) throw error;
      onLost();
      // libuv stops polling a socket that had an error.
      poll.start({ readable: true }, drain);
      return true;
    }
  }

  function drain(): void {
    for (let turn = 0; turn < turnDatagrams && !stopped; turn++) if (!readOne()) return;
  }

  const poll = koffi.node.poll(fd, { readable: true }, drain);
  poll.unref();
  return {
    [Symbol.dispose]() {
      if (stopped) return;
      stopped = true;
      poll.stop();
      poll.close();
      libc().close(fd);
    },
  };
}

function subscribe(fd: number): void {
  const size = Buffer.alloc(4);
  size.writeInt32LE(receiveBufferBytes);
  try {
    checkCall('buffer', libc().setsockopt(fd, solSocket, soReceiveBufferForce, size, size.length));
  } catch (error) {
    // Without CAP_NET_ADMIN in the first user namespace the default size must do.
    if (!isErrno(error, 'EPERM')) throw error;
  }
  const address = Buffer.alloc(12); // struct sockaddr_nl: u16 family, pad, u32 port, u32 groups
  address.writeUInt16LE(afNetlink, 0);
  address.writeUInt32LE(groups, 8);
  checkCall('netlink bind', libc().bind(fd, address, address.length));
}
