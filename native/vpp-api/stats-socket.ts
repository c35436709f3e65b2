/**
 * The descriptor of the stats segment: VPP sends it over a SEQPACKET socket, with no bytes
 * worth reading. Node can neither open such a socket nor receive a descriptor; libc can.
 *
 * Everything here returns at once but the wait for VPP's message, which is libuv's.
 */
import { closeSync } from 'node:fs';
import koffi from 'koffi';
import type { Clock } from '../../src/core/clock.ts';
import { StatsError } from './stats-layout.ts';

interface Libc {
  socket(domain: number, type: number, protocol: number): number;
  connect(fd: number, address: Uint8Array, length: number): number;
  recvmsg(fd: number, message: Uint8Array, flags: number): bigint | number;
  mmap(
    address: null,
    length: number,
    protection: number,
    flags: number,
    fd: number,
    offset: number,
  ): bigint;
  munmap(address: bigint, length: number): number;
}

// Linux, all architectures that VPP and Node share: bits/socket.h, bits/mman.h.
const AF_UNIX = 1;
const SOCK_SEQPACKET = 5;
const SOCK_NONBLOCK = 0o4000;
const SOCK_CLOEXEC = 0o2000000;
const SOL_SOCKET = 1;
const SCM_RIGHTS = 1;
const MSG_CMSG_CLOEXEC = 0x40000000;
const PROT_READ = 1;
const MAP_SHARED = 1;
const maxPathBytes = 107;

const loaded: { libc?: Libc } = {};

function libc(): Libc {
  loaded.libc ??= bindLibc();
  return loaded.libc;
}

function bindLibc(): Libc {
  const library = koffi.load(null);
  return {
    socket: library.func('int socket(int, int, int)'),
    connect: library.func('int connect(int, void *, unsigned int)'),
    recvmsg: library.func('intptr_t recvmsg(int, void *, int)'),
    mmap: library.func('uintptr_t mmap(void *, size_t, int, int, int, int64_t)'),
    munmap: library.func('int munmap(uintptr_t, size_t)'),
  };
}

/** Memory of another process, to be read only. */
export interface Mapping {
  readonly memory: ArrayBuffer;
  /** After this, one read of `memory` ends the process. */
  unmap(): void;
}

/** Maps a whole file. */
export function mapFile(fd: number, length: number): Mapping {
  const address = BigInt(libc().mmap(null, length, PROT_READ, MAP_SHARED, fd, 0));
  // MAP_FAILED is (void *)-1.
  if (address === 0xffff_ffff_ffff_ffffn || address === -1n) {
    throw new StatsError(`mmap failed with errno ${koffi.errno()}`);
  }
  return {
    memory: koffi.view(address, length),
    unmap() {
      libc().munmap(address, length);
    },
  };
}

/** Connects and receives one descriptor; the caller closes it. */
export async function receiveDescriptor(
  path: string,
  options: { readonly clock: Clock; readonly timeoutMs: number; readonly signal?: AbortSignal },
): Promise<number> {
  const fd = libc().socket(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) throw new StatsError(`no socket: errno ${koffi.errno()}`);
  try {
    const address = socketAddress(path);
    if (libc().connect(fd, address, address.length) < 0) {
      throw new StatsError(`cannot connect to ${path}: errno ${koffi.errno()}`);
    }
    await readable(fd, path, options);
    return takeDescriptor(fd, path);
  } finally {
    closeSync(fd);
  }
}

function readable(
  fd: number,
  path: string,
  options: { readonly clock: Clock; readonly timeoutMs: number; readonly signal?: AbortSignal },
): Promise<void> {
  return new Promise((resolve, reject) => {
    const finish = (settle: () => void): void => {
      poll.close();
      timer.cancel();
      options.signal?.removeEventListener('abort', abort);
      settle();
    };
    const abort = (): void => finish(() => reject(options.signal?.reason));
    const timer = options.clock.after(options.timeoutMs, () => {
      const text = `${path} sent no descriptor in ${options.timeoutMs} ms`;
      finish(() => reject(new StatsError(text)));
    });
    const poll = koffi.node.poll(fd, { readable: true }, () => finish(resolve));
    options.signal?.addEventListener('abort', abort, { once: true });
    if (options.signal?.aborted) abort();
  });
}

/** `struct sockaddr_un`. */
function socketAddress(path: string): Buffer {
  const bytes = Buffer.from(path);
  if (bytes.length > maxPathBytes) throw new StatsError(`the path ${path} is too long`);
  const address = Buffer.alloc(2 + bytes.length + 1);
  address.writeUInt16LE(AF_UNIX, 0);
  bytes.copy(address, 2);
  return address;
}

/** `recvmsg` with room for one descriptor (struct msghdr, iovec and cmsghdr of 64-bit Linux). */
function takeDescriptor(socket: number, path: string): number {
  const data = Buffer.alloc(64);
  const control = Buffer.alloc(24);
  const vector = Buffer.alloc(16);
  vector.writeBigUInt64LE(koffi.address(data), 0);
  vector.writeBigUInt64LE(BigInt(data.length), 8);
  const message = Buffer.alloc(56);
  message.writeBigUInt64LE(koffi.address(vector), 16);
  message.writeBigUInt64LE(1n, 24);
  message.writeBigUInt64LE(koffi.address(control), 32);
  message.writeBigUInt64LE(BigInt(control.length), 40);
  const received = Number(libc().recvmsg(socket, message, MSG_CMSG_CLOEXEC));
  if (received < 0) throw new StatsError(`cannot read from ${path}: errno ${koffi.errno()}`);
  const isDescriptor =
    message.readBigUInt64LE(40) >= 20n &&
    control.readInt32LE(8) === SOL_SOCKET &&
    control.readInt32LE(12) === SCM_RIGHTS;
  if (!isDescriptor) throw new StatsError(`${path} sent no descriptor`);
  return control.readInt32LE(16);
}
