import type {
  DetailsOf,
  DumpName,
  MessageName,
  ReplyOf,
  RequestName,
  StreamName,
} from '../../../native/vpp-api/catalogue/index.ts';
import type { FieldsOf } from '../../../native/vpp-api/codec.ts';
import type { Bfd } from '../bfd/bfd.ts';
import type { Interface } from '../plane/interfaces.ts';
import type { Plane } from '../plane/plane.ts';
import type { LinkOpener } from '../port/link.ts';

/** VPP's return values that the answers use. Source: VPP v26.06 `vnet/error.h`. */
export const Retval = {
  unspecified: -1,
  invalidSwIfIndex: -2,
  noSuchFib: -3,
  noSuchEntry: -6,
  invalidValue: -7,
  invalidValue2: -8,
  invalidSwIfIndex2: -10,
  syscallError1: -11,
  featureDisabled: -30,
  noPathsInRoute: -52,
  noMatchingInterface: -54,
  invalidSrcAddress: -57,
  addressNotFound: -60,
  noSuchNode: -63,
  noSuchNode2: -64,
  invalidInterface: -71,
  invalidArgument: -73,
  tunnelExists: -75,
  invalidDecapNext: -76,
  ifAlreadyExists: -79,
  valueExist: -81,
  sameSourceAndTarget: -82,
  invalidMemorySize: -70,
  ip6NotEnabled: -62,
  invalidAddressFamily: -97,
  bfdExists: -101,
  bfdNoSuchEntry: -102,
  addressInUse: -105,
  entryAlreadyExists: -116,
  duplicateIfAddress: -127,
  aclInUseInbound: -142,
  aclInUseOutbound: -143,
  illegalName: -133,
  instanceInUse: -147,
} as const;

/** A request that real VPP 26.06 does not survive: the emulator ends as VPP would. */
export class WouldCrashVpp extends Error {
  override readonly name = 'WouldCrashVpp';
  /** The signal that VPP died of when this was observed. */
  readonly signal: 'SIGABRT' | 'SIGSEGV';

  constructor(signal: 'SIGABRT' | 'SIGSEGV', reason: string) {
    super(`VPP 26.06 dies of ${signal}: ${reason}`);
    this.signal = signal;
  }
}

/** Everything that the answers may change. */
export interface World {
  readonly plane: Plane;
  readonly bfd: Bfd;
  readonly openLink: LinkOpener;
  /** Tells subscribers that an interface changed. */
  interfaceChanged(one: Interface, deleted: boolean): void;
  readonly processId: number;
  /** Where files are written that clients name. */
  readonly tmpDirectory: string;
}

/** The events that the emulator sends. */
export type EmulatedEvent = 'sw_interface_event' | 'ip_neighbor_event_v2' | 'bfd_udp_session_event';

/** The client that asks. */
export interface Caller {
  readonly clientIndex: number;
  readonly context: number;
  subscribe(event: EmulatedEvent, processId: number, enabled: boolean): void;
}

type AnswerOf<N extends MessageName> = N extends RequestName
  ? (fields: FieldsOf<N>, caller: Caller) => FieldsOf<ReplyOf<N>>
  : N extends DumpName
    ? (fields: FieldsOf<N>, caller: Caller) => Iterable<FieldsOf<DetailsOf<N>>>
    : N extends StreamName
      ? (
          fields: FieldsOf<N>,
          caller: Caller,
        ) => {
          readonly details: Iterable<FieldsOf<DetailsOf<N>>>;
          readonly reply: FieldsOf<ReplyOf<N>>;
        }
      : never;

/** What the emulator answers to each message; a message without answer is not in its table. */
export type Answers = { readonly [N in MessageName]?: AnswerOf<N> };
