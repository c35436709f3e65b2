import { rmSync } from 'node:fs';
import koffi from 'koffi';
import { StatsSegmentError } from './segment.ts';

/**
 * Hands the segment's descriptor to whoever connects: one message with SCM_RIGHTS over a
 * SEQPACKET socket, then the end, as VPP does. Node has no such sockets, so libc makes them.
 */

// Linux, 64 bit: socket(2), unix(7), cmsg(3).
const AF_UNIX = 1;
const SOCK_SEQPACKET_NONBLOCK_CLOEXEC = 5 | 0o4000 | 0o2000000;
const SOCK_CLOEXEC = 0o2000000;
const SOL_SOCKET = 1;
const SCM_RIGHTS = 1;
const MSG_NOSIGNAL = 0x4000;
const pathBytesMax = 107;
const backlog = 16;

/** Serves `fd` at `path` (mode 0600) until the returned function is called. */
export function serveDescriptor(path: string, fd: number): () => void {
  const libc = bindLibc();
  const pathBytes = Buffer.from(path);
  if (pathBytes.length > pathBytesMax) throw new StatsSegmentError(`the path ${path} is too long`);
  rmSync(path, { force: true });
  const listener: number = libc.socket(AF_UNIX, SOCK_SEQPACKET_NONBLOCK_CLOEXEC, 0);
  const address = Buffer.alloc(2 + pathBytes.length + 1);
  address.writeUInt16LE(AF_UNIX, 0);
  pathBytes.copy(address, 2);
  const umask = process.umask(0o177);
  const bound = libc.bind(listener, address, address.length) === 0;
  process.umask(umask);
  if (!bound || libc.listen(listener, backlog) < 0) {
    const errno = koffi.errno();
    libc.close(listener);
    throw new StatsSegmentError(`cannot listen on ${path}: errno ${errno}`);
  }
  const poll = koffi.node.poll(listener, { readable: true }, () => {
    for (let n = 0; n < backlog; n++) {
      const client: number = libc.accept4(listener, null, null, SOCK_CLOEXEC);
      if (client < 0) return;
      sendDescriptor(libc, client, fd);
      libc.close(client);
    }
  });
  return () => {
    poll.stop();
    poll.close();
    libc.close(listener);
    rmSync(path, { force: true });
  };
}

function bindLibc() {
  const library = koffi.load(null);
  return {
    socket: library.func('int socket(int, int, int)'),
    bind: library.func('int bind(int, void *, unsigned int)'),
    listen: library.func('int listen(int, int)'),
    accept4: library.func('int accept4(int, void *, void *, int)'),
    sendmsg: library.func('intptr_t sendmsg(int, void *, int)'),
    close: library.func('int close(int)'),
  };
}

/** `struct msghdr` with one byte of data and one `struct cmsghdr` with the descriptor. */
function sendDescriptor(libc: ReturnType<typeof bindLibc>, client: number, fd: number): void {
  const payload = Buffer.alloc(1);
  const vector = Buffer.alloc(16);
  vector.writeBigUInt64LE(koffi.address(payload), 0);
  vector.writeBigUInt64LE(1n, 8);
  const control = Buffer.alloc(24);
  control.writeBigUInt64LE(20n, 0);
  control.writeInt32LE(SOL_SOCKET, 8);
  control.writeInt32LE(SCM_RIGHTS, 12);
  control.writeInt32LE(fd, 16);
  const message = Buffer.alloc(56);
  message.writeBigUInt64LE(koffi.address(vector), 16);
  message.writeBigUInt64LE(1n, 24);
  message.writeBigUInt64LE(koffi.address(control), 32);
  message.writeBigUInt64LE(BigInt(control.length), 40);
  // A client that is gone already needs no descriptor.
  libc.sendmsg(client, message, MSG_NOSIGNAL);
}
