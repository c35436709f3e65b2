import koffi from 'koffi';
import { checkCall, libc } from './libc.ts';
import { inNamespace, ownNamespace } from './namespace.ts';
import { isErrno } from './netlink-error.ts';

/**
 * Offloads of an interface, by SIOCETHTOOL.
 *
 * AF_PACKET sees frames as the kernel hands them over: with offloads on, TCP arrives as frames
 * of 64 KiB whose checksum is not filled in, and VPP would send them on like that. So both ends
 * of a veth pair and the uplink run without.
 */
export type Offload = 'rxChecksum' | 'txChecksum' | 'scatterGather' | 'tso' | 'gso' | 'gro';

/** ETHTOOL_G* and ETHTOOL_S* of linux/ethtool.h; the setter is the getter plus one. */
const getCommand: Readonly<Record<Offload, number>> = {
  rxChecksum: 0x14,
  txChecksum: 0x16,
  scatterGather: 0x18,
  tso: 0x1e,
  gso: 0x23,
  gro: 0x2b,
};

/** Order of switching off: segmentation needs scatter-gather, which needs checksums. */
export const offloads: readonly Offload[] = [
  'gro',
  'gso',
  'tso',
  'scatterGather',
  'txChecksum',
  'rxChecksum',
];

const siocEthtool = 0x8946;
const afInet = 2;
const sockDgramCloexec = 2 | 0o2000000;
const requestBytes = 40; // struct ifreq

/**
 * Switches off, and says which were on; an offload that the driver does not have or cannot
 * change stays as it is.
 */
export function disableOffloads(
  link: string,
  which: readonly Offload[],
  namespace: string = ownNamespace,
): Offload[] {
  const before = readOffloads(link, namespace);
  const on = which.filter((offload) => before[offload] === true);
  if (on.length === 0) return [];
  setOffloads(link, Object.fromEntries(on.map((offload) => [offload, false])), namespace);
  const after = readOffloads(link, namespace);
  return on.filter((offload) => after[offload] === false);
}

/** Sets each as given, in the order that the kernel's dependencies ask for. */
export function setOffloads(
  link: string,
  wanted: Partial<Record<Offload, boolean>>,
  namespace: string = ownNamespace,
): void {
  withIoctlSocket(namespace, (fd) => {
    const off = offloads.filter((offload) => wanted[offload] === false);
    const on = offloads.filter((offload) => wanted[offload] === true).toReversed();
    for (const offload of [...off, ...on]) {
      const value = Buffer.alloc(8);
      value.writeUInt32LE(getCommand[offload] + 1, 0);
      value.writeUInt32LE(off.includes(offload) ? 0 : 1, 4);
      ethtool(fd, link, value);
    }
  });
}

/** What is on; an offload that the driver does not know is absent. */
export function readOffloads(
  link: string,
  namespace: string = ownNamespace,
): Partial<Record<Offload, boolean>> {
  return withIoctlSocket(namespace, (fd) => {
    const found: Partial<Record<Offload, boolean>> = {};
    for (const offload of offloads) {
      const value = Buffer.alloc(8);
      value.writeUInt32LE(getCommand[offload], 0);
      if (ethtool(fd, link, value)) found[offload] = value.readUInt32LE(4) !== 0;
    }
    return found;
  });
}

function withIoctlSocket<T>(namespace: string, work: (fd: number) => T): T {
  const fd = inNamespace(namespace, () =>
    checkCall('ethtool socket', libc().socket(afInet, sockDgramCloexec, 0)),
  );
  try {
    return work(fd);
  } finally {
    libc().close(fd);
  }
}

/** False when the driver does not have it or does not let it change. */
function ethtool(fd: number, link: string, value: Buffer): boolean {
  // struct ifreq: 16 bytes of name, then a pointer to the struct ethtool_value.
  const request = Buffer.alloc(requestBytes);
  request.write(link, 0, 15);
  request.writeBigUInt64LE(BigInt(koffi.address(value)), 16);
  try {
    checkCall(`ethtool ${link}`, libc().ioctl(fd, siocEthtool, request));
    return true;
  } catch (error) {
    if (isErrno(error, 'ENOTSUP', 'EOPNOTSUPP', 'EINVAL')) return false;
    throw error;
  }
}
