import { createSocket, type Socket } from 'node:dgram';
import { familyOf, type Ip } from '../core/ip.ts';

/** Makes the data plane learn the link addresses of neighbours. */
export interface Probe extends AsyncDisposable {
  /** Sends a datagram to each address; what becomes of it does not matter. */
  send(addresses: readonly Ip[]): void;
}

/** RFC 863: whoever listens there throws it away. */
const discardPort = 9;

/**
 * A datagram from the host's stack crosses VPP, which asks the link for the neighbour (ARP, ND)
 * and remembers the answer. That must be done before a pod's first packet needs the neighbour:
 * VPP 26.06 drops the packet that makes it ask, but keeps the NAT session that the packet began,
 * and that session is never masqueraded (observed; see docs/differences.md).
 */
export function createProbe(onError: (error: Error) => void): Probe {
  const sockets = new Map<4 | 6, Socket>();

  function socketOf(family: 4 | 6): Socket {
    let socket = sockets.get(family);
    if (socket === undefined) {
      socket = createSocket(family === 4 ? 'udp4' : 'udp6');
      socket.on('error', onError);
      socket.unref();
      sockets.set(family, socket);
    }
    return socket;
  }

  return {
    send(addresses) {
      for (const address of addresses)
        socketOf(familyOf(address)).send('', discardPort, address, (error) => {
          if (error !== null) onError(error);
        });
    },
    async [Symbol.asyncDispose]() {
      for (const socket of sockets.values())
        await new Promise<void>((resolve) => socket.close(() => resolve()));
    },
  };
}
