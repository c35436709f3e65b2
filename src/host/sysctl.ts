import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { inNamespace, ownNamespace } from './namespace.ts';
import { isErrno, NetlinkError } from './netlink-error.ts';

/**
 * Per-interface sysctls. /proc/sys/net shows the namespace of the thread that opens it, so the
 * synchronous read or write happens inside the namespace window (measured).
 */
export interface InterfaceSysctl {
  readonly family: 'ipv4' | 'ipv6';
  readonly interface: string;
  readonly name: string;
}

/**
 * A container's own /proc/sys is read-only; the DaemonSet mounts the host's writable one here.
 * Both show the namespace of the thread that opens them (measured).
 */
const mountedRoot = '/host/proc/sys/net';
const ownRoot = '/proc/sys/net';

/** False when this kernel has no IPv6 (compiled out or disabled at boot): then there is no need. */
export function writeSysctl(
  sysctl: InterfaceSysctl,
  value: string,
  namespace: string = ownNamespace,
): boolean {
  try {
    inNamespace(namespace, () => writeFileSync(sysctlPath(sysctl), value));
    return true;
  } catch (cause) {
    if (isErrno(cause, 'ENOENT') && sysctl.family === 'ipv6') return false;
    throw new NetlinkError(`write ${sysctlPath(sysctl)}`, errnoOf(cause), '', { cause });
  }
}

/** Writes unless it has the value already; says what it wrote, if anything, as one line. */
export function keepSysctl(
  sysctl: InterfaceSysctl,
  value: string,
  namespace: string = ownNamespace,
): string[] {
  if (readSysctl(sysctl, namespace) === value) return [];
  if (!writeSysctl(sysctl, value, namespace)) return [];
  return [`${sysctl.family} sysctl ${sysctl.name} = ${value} of ${sysctl.interface}`];
}

/** Undefined when this kernel has no such interface or sysctl. */
export function readSysctl(
  sysctl: InterfaceSysctl,
  namespace: string = ownNamespace,
): string | undefined {
  try {
    return inNamespace(namespace, () => readFileSync(sysctlPath(sysctl), 'utf8').trim());
  } catch (cause) {
    if (isErrno(cause, 'ENOENT')) return undefined;
    throw new NetlinkError(`read ${sysctlPath(sysctl)}`, errnoOf(cause), '', { cause });
  }
}

function sysctlPath({ family, interface: name, name: key }: InterfaceSysctl): string {
  // Looked at each time: the mount of a test, or of another container, comes and goes.
  const root = existsSync(mountedRoot) ? mountedRoot : ownRoot;
  return `${root}/${family}/conf/${name}/${key}`;
}

function errnoOf(error: unknown): number {
  const errno = error instanceof Error && 'errno' in error ? error.errno : 0;
  return typeof errno === 'number' ? Math.abs(errno) : 0;
}
