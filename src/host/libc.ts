import koffi from 'koffi';
import { NetlinkError } from './netlink-error.ts';

/**
 * The system calls that Node has no words for.
 *
 * The calls are synchronous and on the main thread: a netlink request takes 7-10 µs (measured),
 * and only so does a namespace change stay inside one turn of JavaScript (see namespace.ts).
 * `sendAside` is for sockets that are already open: a pool thread never changes its namespace.
 */
export interface Libc {
  socket(domain: number, type: number, protocol: number): number;
  bind(fd: number, address: Uint8Array, length: number): number;
  send(fd: number, bytes: Uint8Array, length: number, flags: number): number;
  /** The same on a pool thread, for what makes the kernel wait. The caller keeps `bytes`. */
  sendAside(fd: number, bytes: Uint8Array, length: number, flags: number): Promise<number>;
  /** The same to a `struct sockaddr`. */
  sendto(
    fd: number,
    bytes: Uint8Array,
    length: number,
    flags: number,
    address: Uint8Array,
    addressLength: number,
  ): number;
  recv(fd: number, bytes: Uint8Array, length: number, flags: number): number;
  setsockopt(fd: number, level: number, option: number, value: Uint8Array, length: number): number;
  close(fd: number): number;
  setns(fd: number, type: number): number;
  /** The third argument is a `struct ifreq`. */
  ioctl(fd: number, request: number, argument: Uint8Array): number;
}

const loaded: { libc?: Libc } = {};

/** The C library of this process (glibc or musl); bound at the first use. */
export function libc(): Libc {
  loaded.libc ??= bindLibc();
  return loaded.libc;
}

/** Throws the errno of the last call when `result` is negative. */
export function checkCall(request: string, result: number): number {
  if (result >= 0) return result;
  throw new NetlinkError(request, koffi.errno(), '');
}

function bindLibc(): Libc {
  const library = koffi.load(null);
  const send = library.func('intptr_t send(int, void *, size_t, int)');
  return {
    socket: library.func('int socket(int, int, int)'),
    bind: library.func('int bind(int, void *, unsigned int)'),
    send,
    sendAside: (...call) =>
      new Promise((resolve, reject) => {
        send.async(...call, (error: unknown, result: number) =>
          error === null ? resolve(result) : reject(error),
        );
      }),
    sendto: library.func('intptr_t sendto(int, void *, size_t, int, void *, unsigned int)'),
    recv: library.func('intptr_t recv(int, void *, size_t, int)'),
    setsockopt: library.func('int setsockopt(int, int, int, void *, unsigned int)'),
    close: library.func('int close(int)'),
    setns: library.func('int setns(int, int)'),
    ioctl: library.func('int ioctl(int, unsigned long, void *)'),
  };
}
