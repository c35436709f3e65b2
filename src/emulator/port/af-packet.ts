import koffi from 'koffi';
import { type Link, LinkError, type LinkEvents, type LinkOpener } from './link.ts';

/**
 * Kernel interfaces through AF_PACKET sockets.
 *
 * One non-blocking socket an interface, polled by libuv. Frames come in batches of recvmmsg into
 * fixed slots and are processed in place; frames that leave are copied into the slots of their
 * interface and go out by one sendmmsg at the end of the batch. So the cost of the system calls,
 * the largest part, is shared by up to `batchFrames` frames.
 *
 * Like VPP's af-packet the host interface is brought up and made promiscuous, and what the kernel
 * itself sends is ignored. Offloads must be off at the other end: checksums are not repaired.
 */

const batchFrames = 64;

/** Room for one frame, as VPP's rings are made; longer ones (offloads left on) are lost. */
const slotBytes = 10_240;

/** Batches read before others get their turn. */
const batchesPerTurn = 8;

/** Linux constants (x86-64 and arm64): socket(7), packet(7), netdevice(7). */
const AF_PACKET = 17;
const SOCK_RAW_NONBLOCK_CLOEXEC = 3 | 0x800 | 0x80000;
const SOL_SOCKET = 1;
const SO_RCVBUFFORCE = 33;
const SO_SNDBUFFORCE = 32;
const SOL_PACKET = 263;
const PACKET_ADD_MEMBERSHIP = 1;
const PACKET_QDISC_BYPASS = 20;
const PACKET_IGNORE_OUTGOING = 23;
const PACKET_MR_PROMISC = 1;
const ETH_P_ALL = 3;
const SIOCGIFFLAGS = 0x8913;
const SIOCSIFFLAGS = 0x8914;
const SIOCGIFMTU = 0x8921;
const IFF_UP = 1;
const EAGAIN = 11;
const EINTR = 4;
const MSG_TRUNC = 0x20;

/** Kernel buffers of a socket, bytes: bursts wait here while JavaScript is busy. */
const socketBufferBytes = 8 * 1024 * 1024;

/** sizeof(struct mmsghdr) and sizeof(struct iovec) on 64-bit Linux. */
const mmsghdrBytes = 64;
const iovecBytes = 16;

function openLibc() {
  const lib = koffi.load('libc.so.6');
  return {
    socket: lib.func('int socket(int, int, int)'),
    bind: lib.func('int bind(int, void *, uint32_t)'),
    setsockopt: lib.func('int setsockopt(int, int, int, void *, uint32_t)'),
    ioctl: lib.func('int ioctl(int, unsigned long, void *)'),
    recvmmsg: lib.func('int recvmmsg(int, void *, uint32_t, int, void *)'),
    sendmmsg: lib.func('int sendmmsg(int, void *, uint32_t, int)'),
    ifNameToIndex: lib.func('uint32_t if_nametoindex(const char *)'),
    close: lib.func('int close(int)'),
  };
}

type Libc = ReturnType<typeof openLibc>;

/** Opens kernel interfaces of the network namespace that the process runs in. Needs CAP_NET_RAW. */
export function createAfPacketOpener(): LinkOpener {
  const libc = openLibc();
  // One set for all interfaces: a batch is over before the next one is read.
  const received = createSlots();
  const waiting = new Set<Sender>();
  const flushAll = () => {
    for (const sender of waiting) sender.flush();
    waiting.clear();
  };
  return (hostName, _mac, events) => {
    const index: number = libc.ifNameToIndex(hostName);
    if (index === 0) return undefined;
    const fd = openSocket(libc);
    const mtu = prepareInterface(libc, fd, hostName);
    bindSocket(libc, fd, hostName, index);
    const sender = createSender(libc, fd, () => waiting.add(sender), flushAll);
    const stop = receive(libc, fd, { events, flushAll, hostName, index, slots: received });
    let open = true;
    const link: Link = {
      mtu,
      transmit: (frame) => {
        if (open) sender.push(frame);
      },
      close() {
        if (!open) return;
        open = false;
        waiting.delete(sender);
        stop();
        libc.close(fd);
      },
    };
    return link;
  };
}

function openSocket(libc: Libc): number {
  const fd: number = libc.socket(AF_PACKET, SOCK_RAW_NONBLOCK_CLOEXEC, 0);
  if (fd < 0) throw new LinkError(`cannot open a packet socket: errno ${koffi.errno()}`);
  setOption(libc, fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, 1);
  setOption(libc, fd, SOL_PACKET, PACKET_QDISC_BYPASS, 1);
  // Without CAP_NET_ADMIN the default size stays, which only costs bursts.
  setOption(libc, fd, SOL_SOCKET, SO_RCVBUFFORCE, socketBufferBytes);
  setOption(libc, fd, SOL_SOCKET, SO_SNDBUFFORCE, socketBufferBytes);
  return fd;
}

function bindSocket(libc: Libc, fd: number, hostName: string, index: number): void {
  const membership = Buffer.alloc(16);
  membership.writeInt32LE(index, 0);
  membership.writeUInt16LE(PACKET_MR_PROMISC, 4);
  libc.setsockopt(fd, SOL_PACKET, PACKET_ADD_MEMBERSHIP, membership, membership.length);
  const address = Buffer.alloc(20);
  address.writeUInt16LE(AF_PACKET, 0);
  address.writeUInt16BE(ETH_P_ALL, 2);
  address.writeInt32LE(index, 4);
  if (libc.bind(fd, address, address.length) < 0) {
    const errno = koffi.errno();
    libc.close(fd);
    throw new LinkError(`cannot bind a packet socket to ${hostName}: errno ${errno}`);
  }
}

function setOption(libc: Libc, fd: number, level: number, option: number, value: number): void {
  const bytes = Buffer.alloc(4);
  bytes.writeInt32LE(value, 0);
  libc.setsockopt(fd, level, option, bytes, bytes.length);
}

/** Brings the interface up, as VPP does, and tells its MTU. */
function prepareInterface(libc: Libc, fd: number, hostName: string): number {
  const request = Buffer.alloc(40);
  request.write(hostName, 0, 15, 'latin1');
  if (libc.ioctl(fd, SIOCGIFFLAGS, request) === 0) {
    const flags = request.readUInt16LE(16);
    if ((flags & IFF_UP) === 0) {
      request.writeUInt16LE(flags | IFF_UP, 16);
      libc.ioctl(fd, SIOCSIFFLAGS, request);
    }
  }
  request.fill(0, 16);
  return libc.ioctl(fd, SIOCGIFMTU, request) === 0 ? request.readInt32LE(16) : 1500;
}

/** Slots with the headers that recvmmsg and sendmmsg want, made once. */
interface Slots {
  readonly data: Buffer;
  readonly headers: Buffer;
  readonly vectors: Buffer;
}

function createSlots(): Slots {
  const data = Buffer.alloc(batchFrames * slotBytes);
  const vectors = Buffer.alloc(batchFrames * iovecBytes);
  const headers = Buffer.alloc(batchFrames * mmsghdrBytes);
  const dataAddress = koffi.address(data);
  const vectorAddress = koffi.address(vectors);
  for (let i = 0; i < batchFrames; i++) {
    vectors.writeBigUInt64LE(dataAddress + BigInt(i * slotBytes), i * iovecBytes);
    vectors.writeBigUInt64LE(BigInt(slotBytes), i * iovecBytes + 8);
    // msghdr: name, namelen, iov at 16, iovlen at 24.
    headers.writeBigUInt64LE(vectorAddress + BigInt(i * iovecBytes), i * mmsghdrBytes + 16);
    headers.writeBigUInt64LE(1n, i * mmsghdrBytes + 24);
  }
  return { data, headers, vectors };
}

/** Offsets of `msg_flags` and `msg_len` in struct mmsghdr. */
const flagsAt = 48;
const lengthAt = 56;

interface Sender {
  push(frame: Buffer): void;
  flush(): void;
}

function createSender(
  libc: Libc,
  fd: number,
  becameDirty: () => void,
  flushAll: () => void,
): Sender {
  const slots = createSlots();
  let count = 0;
  const sender: Sender = {
    push(frame) {
      if (frame.length > slotBytes) return;
      if (count === batchFrames) sender.flush();
      if (count === 0) {
        becameDirty();
        // Frames made outside a batch (by a timer, an API call) leave at the end of this turn.
        queueMicrotask(flushAll);
      }
      frame.copy(slots.data, count * slotBytes);
      slots.vectors.writeUInt32LE(frame.length, count * iovecBytes + 8);
      count++;
    },
    flush() {
      const total = count;
      count = 0;
      for (let sent = 0; sent < total; ) {
        const rest = sent === 0 ? slots.headers : slots.headers.subarray(sent * mmsghdrBytes);
        const done: number = libc.sendmmsg(fd, rest, total - sent, 0);
        // A frame that the kernel refuses (no buffer, too long, link down) is lost, as on a wire.
        sent += done > 0 ? done : 1;
      }
    },
  };
  return sender;
}

function receive(
  libc: Libc,
  fd: number,
  at: {
    readonly events: LinkEvents;
    readonly flushAll: () => void;
    readonly hostName: string;
    readonly index: number;
    readonly slots: Slots;
  },
): () => void {
  const { slots } = at;
  const frames = Array.from({ length: batchFrames }, (_, i) =>
    slots.data.subarray(i * slotBytes, (i + 1) * slotBytes),
  );
  let stopped = false;
  const readBatch = (): number => {
    const count: number = libc.recvmmsg(fd, slots.headers, batchFrames, 0, null);
    for (let i = 0; i < count && !stopped; i++) {
      const length = slots.headers.readUInt32LE(i * mmsghdrBytes + lengthAt);
      const isCut = (slots.headers.readInt32LE(i * mmsghdrBytes + flagsAt) & MSG_TRUNC) !== 0;
      const frame = frames[i];
      if (frame !== undefined && !isCut) at.events.received(frame.subarray(0, length));
    }
    return count;
  };
  const drain = () => {
    for (let turn = 0; turn < batchesPerTurn && !stopped; turn++) {
      const count = readBatch();
      at.flushAll();
      if (count === batchFrames) continue;
      if (count < 0) checkLink(koffi.errno());
      return;
    }
  };
  const poll = koffi.node.poll(fd, { readable: true }, drain);
  const stop = () => {
    if (stopped) return;
    stopped = true;
    poll.stop();
    poll.close();
  };
  const checkLink = (errno: number) => {
    if (errno === EAGAIN || errno === EINTR || stopped) return;
    // ENETDOWN comes once for a link that went down and for one that is gone; only the name
    // tells. libuv stops polling after an error, so a link that may come back is polled anew.
    if (libc.ifNameToIndex(at.hostName) === at.index) {
      poll.start({ readable: true }, drain);
      return;
    }
    stop();
    at.events.vanished();
  };
  return stop;
}
