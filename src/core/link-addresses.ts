import { hostPrefix, type Ip, ip, type Prefix } from './ip.ts';

/**
 * Addresses that this product reserves on every node: never announced, never routed off the
 * node. Link-local for IPv4 (RFC 3927), a unique local prefix for IPv6 (RFC 4193).
 */

/** Where nothing listens: the kernel's end of the host link. It answers RST or port unreachable. */
export const refuseAddresses: { readonly [F in 4 | 6]: Ip } = {
  4: ip('169.254.1.2'),
  6: ip('fd6b:7670:7200::2'),
};

/** tcpmux (RFC 1078), which nobody runs: a port that is closed on every host. */
export const refusePort = 1;

/** The other end of any link that only VPP knows: of a tunnel of frames, of a loopback to itself. */
export const farEndAddresses: { readonly [F in 4 | 6]: Ip } = {
  4: ip('169.254.1.4'),
  6: ip('fe80::4'),
};

/** Routed to drop. */
export const dropAddresses: { readonly [F in 4 | 6]: Ip } = {
  4: ip('169.254.1.3'),
  6: ip('fd6b:7670:7200::3'),
};

/** What is never on a wire. Link-local IPv6 addresses are everybody's. */
export const reservedPrefixes: readonly Prefix[] = [
  refuseAddresses[4],
  refuseAddresses[6],
  dropAddresses[4],
  dropAddresses[6],
  farEndAddresses[4],
].map(hostPrefix);
