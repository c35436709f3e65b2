import { familyOf, type Ip } from '../core/ip.ts';
import type { Attachment } from '../model/facts.ts';
import type { CniVersion } from './call.ts';
import { cniVersions } from './call.ts';
import type { CniFailure } from './failure.ts';

/** The gateways that pods have; src/host makes the routes. */
export type Gateways = Readonly<Record<4 | 6, Ip>>;

/** Result of ADD, CNI specification sections "ADD Success" of 1.1.0 and of 0.3.0-0.4.0. */
export function formatResult(
  version: CniVersion,
  attachment: Attachment,
  options: { readonly gateways: Gateways; readonly dns: unknown },
): string {
  const old = version.startsWith('0.');
  const mtu = version === '1.1.0' ? { mtu: attachment.mtu } : {};
  const interfaces = [
    { name: attachment.hostInterface, mac: attachment.gatewayMac, ...mtu },
    { name: attachment.ifName, mac: attachment.mac, ...mtu, sandbox: attachment.netns },
  ];
  const ips = attachment.ips.map((ip) => {
    const family = familyOf(ip);
    const address = `${ip}/${family === 4 ? 32 : 128}`;
    const gateway = options.gateways[family];
    return { ...(old ? { version: String(family) } : {}), address, gateway, interface: 1 };
  });
  const routes = attachment.ips.map((ip) => {
    const family = familyOf(ip);
    return { dst: family === 4 ? '0.0.0.0/0' : '::/0', gw: options.gateways[family] };
  });
  return JSON.stringify({ cniVersion: version, interfaces, ips, routes, dns: options.dns ?? {} });
}

export function formatVersions(version: CniVersion): string {
  return JSON.stringify({ cniVersion: version, supportedVersions: cniVersions.toReversed() });
}

export function formatFailure(version: CniVersion, failure: CniFailure): string {
  const msg = `kube-vpp-router: ${failure.problem}`;
  return JSON.stringify({ cniVersion: version, code: failure.code, msg });
}
