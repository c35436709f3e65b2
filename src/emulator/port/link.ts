import type { Mac } from '../address.ts';

/** One end of a wire outside the data plane: a kernel interface, or a port of a test. */
export interface Link {
  readonly mtu: number;
  /** Takes a frame out; the bytes are only valid during the call. */
  transmit(frame: Buffer): void;
  close(): void;
}

export interface LinkEvents {
  /** A frame came in; the bytes may be changed during the call and are not valid after it. */
  received(frame: Buffer): void;
  /** The kernel interface is gone. */
  vanished(): void;
}

/** Opens a link by its kernel name; undefined when there is none. */
export type LinkOpener = (hostName: string, mac: Mac, events: LinkEvents) => Link | undefined;

/** The kernel refused to open an interface that exists. */
export class LinkError extends Error {
  override readonly name = 'LinkError';
}
