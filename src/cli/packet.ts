import type { TraceProtocol, TraceRequest } from '../core/control-api.ts';
import { traceProtocols } from '../core/control-api.ts';
import { parseIp } from '../core/ip.ts';
import { type Parsed, parsed, rejected } from '../core/parsed.ts';

/**
 * `SRC DST[:PORT][/PROTO]` as people write it: `10.0.0.1:80`, `[fd00::1]:53/udp`, `fd00::1`.
 * A port without a protocol is TCP; neither is an ICMP echo.
 */
export function parsePacket(sourceText: string, destinationText: string): Parsed<TraceRequest> {
  const source = parseIp(sourceText);
  if (source === undefined) return rejected(`SRC is not an IP address: ${sourceText}`);
  const match =
    /^(?:\[(?<v6>[^\]]+)\]|(?<v4>[^/:]+)|(?<bare>[^/]+))(?::(?<port>\d{1,5}))?(?:\/(?<protocol>\w+))?$/.exec(
      destinationText,
    );
  const groups = match?.groups ?? {};
  const destination = parseIp(groups.v6 ?? groups.v4 ?? groups.bare ?? '');
  if (destination === undefined) {
    return rejected(`DST is not an address, address:port or [address]:port: ${destinationText}`);
  }
  const port = Number(groups.port ?? 0);
  if (port > 65535) return rejected(`there is no port ${port}`);
  const protocol = protocolOf(groups.protocol, port);
  if (protocol === undefined) {
    return rejected(`PROTO is one of ${traceProtocols.join(', ')}: ${groups.protocol}`);
  }
  if (protocol === 'icmp' ? port !== 0 : port === 0) {
    return rejected(
      protocol === 'icmp' ? 'ICMP has no ports' : `a ${protocol} packet needs a port: DST:PORT`,
    );
  }
  return parsed({ source, destination, port, protocol });
}

function protocolOf(text: string | undefined, port: number): TraceProtocol | undefined {
  if (text === undefined) return port === 0 ? 'icmp' : 'tcp';
  return traceProtocols.find((known) => known === text.toLowerCase());
}
