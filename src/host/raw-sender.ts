import { type Family, familyOf, type Ip, ipBytes } from '../core/ip.ts';
import { checkCall, libc } from './libc.ts';
import { inNamespace, ownNamespace } from './namespace.ts';
import { isErrno } from './netlink-error.ts';

/** Sends whole IP packets through the host's stack, by its routes. */
export interface RawSender extends Disposable {
  /**
   * Sends one packet, headers included, and waits for nothing: when the kernel has no room it is
   * lost. Throws NetlinkError: EPERM without CAP_NET_RAW, ENETUNREACH without a route.
   */
  send(packet: Buffer, destination: Ip): void;
}

const addressFamilies = { 4: 2, 6: 10 } as const;
const rawNonblockingCloexec = 3 | 0o4000 | 0o2000000;
/** raw(7): the caller brings the IP header, and nothing is ever received. IPv6 has the same. */
const ipprotoRaw = 255;

/** Sockets are opened at the first packet of a family and stay in the namespace at `namespace`. */
export function createRawSender(namespace: string = ownNamespace): RawSender {
  const sockets = new Map<Family, number>();

  function socketOf(family: Family): number {
    const known = sockets.get(family);
    if (known !== undefined) return known;
    const fd = inNamespace(namespace, () =>
      checkCall(
        `raw socket of IPv${family}`,
        libc().socket(addressFamilies[family], rawNonblockingCloexec, ipprotoRaw),
      ),
    );
    sockets.set(family, fd);
    return fd;
  }

  return {
    send(packet, destination) {
      const fd = socketOf(familyOf(destination));
      const address = socketAddress(destination);
      const sent = libc().sendto(fd, packet, packet.length, 0, address, address.length);
      try {
        checkCall(`send to ${destination}`, sent);
      } catch (error) {
        if (!isErrno(error, 'EAGAIN', 'ENOBUFS')) throw error;
      }
    },
    [Symbol.dispose]() {
      for (const fd of sockets.values()) libc().close(fd);
      sockets.clear();
    },
  };
}

/** `struct sockaddr_in`, or `sockaddr_in6` without flow and scope; the port is 0. */
function socketAddress(destination: Ip): Buffer {
  const family = familyOf(destination);
  const address = Buffer.alloc(family === 4 ? 16 : 28);
  address.writeUInt16LE(addressFamilies[family], 0);
  address.set(ipBytes(destination), family === 4 ? 4 : 8);
  return address;
}
