import { checkCall, libc } from './libc.ts';
import { inNamespace, ownNamespace } from './namespace.ts';
import { isErrno, NetlinkError } from './netlink-error.ts';
import {
  controlType,
  encodeMessage,
  messageFlags,
  type NetlinkMessage,
  parseErrorMessage,
  parseMessages,
} from './netlink-wire.ts';

/**
 * A synchronous rtnetlink socket.
 *
 * The socket is opened inside its namespace and stays bound to it, so later requests need no
 * setns. It blocks at most `replyTimeoutSeconds`: a lost answer must not stop the daemon.
 * Whether a request is a dump is the caller's word, never read from its flags: NLM_F_EXCL and
 * NLM_F_REPLACE are the bits of NLM_F_DUMP.
 */
export interface Netlink extends Disposable {
  /** Sends one request and waits for its acknowledgement; throws NetlinkError. */
  request(what: string, type: number, options: { flags?: number; payload: Buffer }): void;
  /**
   * The same while the event loop goes on; nothing else may use the socket meanwhile. For
   * deleting an interface: the kernel waits for all readers of it, 20 ms (measured).
   */
  requestAside(what: string, type: number, payload: Buffer): Promise<void>;
  /** All messages of one dump. */
  dump(what: string, type: number, payload: Buffer): NetlinkMessage[];
}

const replyTimeoutSeconds = 2;
/** The kernel sends dumps in datagrams of at most 32 KiB (netlink_dump, af_netlink.c). */
const receiveBytes = 65_536;
/** A table that changes while it is dumped is dumped again this often. */
const dumpAttempts = 5;

const afNetlink = 16;
const sockRawCloexec = 3 | 0o2000000;
const solSocket = 1;
const soReceiveTimeout = 20;
const soReceiveBufferForce = 33;
const receiveBufferBytes = 4 * 1024 * 1024;
const solNetlink = 270;
const netlinkExtAck = 11;
const netlinkGetStrictCheck = 12;

/** Opens a socket in the namespace at `namespace` (a path), or in this thread's own. */
export function openNetlink(namespace: string = ownNamespace): Netlink {
  const fd = inNamespace(namespace, () =>
    checkCall('netlink socket', libc().socket(afNetlink, sockRawCloexec, 0)),
  );
  const receive = Buffer.alloc(receiveBytes);
  let sequence = 0;
  try {
    setOptions(fd);
  } catch (error) {
    libc().close(fd);
    throw error;
  }

  function send(what: string, message: Omit<NetlinkMessage, 'sequence'>): void {
    const bytes = encodeMessage({ ...message, sequence: ++sequence });
    checkCall(what, libc().send(fd, bytes, bytes.length, 0));
  }

  /** The next datagram's messages that answer the last request. */
  function answers(what: string): NetlinkMessage[] {
    const length = checkCall(what, libc().recv(fd, receive, receive.length, 0));
    // Copied: the caller keeps payloads longer than the buffer's next use.
    const messages = parseMessages(Buffer.from(receive.subarray(0, length)));
    return messages.filter((message) => message.sequence === sequence);
  }

  function awaitAck(what: string): void {
    for (;;) {
      for (const message of answers(what)) {
        if (message.type !== controlType.error) continue;
        throwUnlessAck(what, message);
        return;
      }
    }
  }

  function dumpOnce(what: string, type: number, payload: Buffer): NetlinkMessage[] | undefined {
    const all: NetlinkMessage[] = [];
    let interrupted = false;
    send(what, { type, flags: messageFlags.request | messageFlags.dump, payload });
    for (;;) {
      for (const message of answers(what)) {
        interrupted ||= (message.flags & messageFlags.dumpInterrupted) !== 0;
        if (message.type === controlType.error) throwUnlessAck(what, message);
        else if (message.type === controlType.done) return interrupted ? undefined : all;
        else all.push(message);
      }
    }
  }

  return {
    request(what, type, { flags = 0, payload }) {
      send(what, { type, flags: messageFlags.request | messageFlags.ack | flags, payload });
      awaitAck(what);
    },
    async requestAside(what, type, payload) {
      const flags = messageFlags.request | messageFlags.ack;
      const bytes = encodeMessage({ type, flags, payload, sequence: ++sequence });
      const sent = await libc().sendAside(fd, bytes, bytes.length, 0);
      if (sent !== bytes.length) throw new NetlinkError(what, 0, 'could not be sent');
      awaitAck(what); // The kernel answered before send(2) returned.
    },
    dump(what, type, payload) {
      for (let attempt = 0; attempt < dumpAttempts; attempt++) {
        const all = dumpOnce(what, type, payload);
        if (all !== undefined) return all;
      }
      throw new NetlinkError(what, 0, `changed during ${dumpAttempts} dumps`);
    },
    [Symbol.dispose]() {
      libc().close(fd);
    },
  };
}

function throwUnlessAck(what: string, message: NetlinkMessage): void {
  const { errno, detail } = parseErrorMessage(message);
  if (errno !== 0) throw new NetlinkError(what, errno, detail);
}

function setOptions(fd: number): void {
  const timeout = Buffer.alloc(16);
  timeout.writeBigInt64LE(BigInt(replyTimeoutSeconds), 0);
  setOption(fd, solSocket, soReceiveTimeout, timeout);
  setOption(fd, solNetlink, netlinkExtAck, int(1));
  setOption(fd, solNetlink, netlinkGetStrictCheck, int(1));
  try {
    setOption(fd, solSocket, soReceiveBufferForce, int(receiveBufferBytes));
  } catch (error) {
    // Without CAP_NET_ADMIN in the first user namespace the default size must do.
    if (!isErrno(error, 'EPERM')) throw error;
  }
}

function setOption(fd: number, level: number, option: number, value: Buffer): void {
  checkCall(
    `netlink setsockopt ${option}`,
    libc().setsockopt(fd, level, option, value, value.length),
  );
}

function int(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeInt32LE(value);
  return bytes;
}
