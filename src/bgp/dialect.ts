import * as gobgp3 from '../../proto/generated/gobgp3.ts';
import * as gobgp4 from '../../proto/generated/gobgp4.ts';
import type { Ip, Prefix } from '../core/ip.ts';
import type { BgpPeerRow, BgpServerRow } from '../desired/rows.ts';
import type { GobgpVersion } from './path-codec.ts';
import {
  type PeerContext,
  type PeerState,
  peerGroupOf,
  peerOf,
  type RangeState,
  rangeOf,
  stateOf,
} from './peer-codec.ts';
import {
  type AssignedPolicy,
  type DefinedSet,
  type Direction,
  directionNumber,
  type Policy,
  setKinds,
  setRequest,
} from './policy-codec.ts';

/**
 * The two dialects of GoBGP's API behind one set of functions: rows in, bytes out, and back.
 *
 * The messages that are used here have the same fields in both; the service name and the
 * values of some enums differ (version 4 counts from one).
 */
export interface Dialect {
  readonly version: GobgpVersion;
  /** `/package.Service/`, the front of every method's path. */
  readonly service: string;
  startBgp(server: BgpServerRow): Uint8Array;
  stopBgp(): Uint8Array;
  decodeGetBgp(reply: Uint8Array): ServerState;
  /** AddPeer and UpdatePeer. */
  peer(row: BgpPeerRow, context: PeerContext): Uint8Array;
  deletePeer(address: Ip | Prefix): Uint8Array;
  /** `advertised`: count what is sent to each, which takes GoBGP a while. */
  listPeers(advertised: boolean): Uint8Array;
  decodePeer(reply: Uint8Array): PeerState | undefined;
  /** A soft reset: paths are sent or judged again, the session stays. */
  resetPeer(address: Ip, direction: Direction): Uint8Array;
  /** AddPeerGroup: what all neighbours of a range have in common. */
  peerGroup(row: BgpPeerRow, context: PeerContext): Uint8Array;
  deletePeerGroup(name: string): Uint8Array;
  listPeerGroups(): Uint8Array;
  /** Undefined for a group that is none of ours. */
  decodePeerGroup(reply: Uint8Array): RangeState | undefined;
  addDynamicNeighbor(range: Range): Uint8Array;
  deleteDynamicNeighbor(range: Range): Uint8Array;
  listDynamicNeighbors(): Uint8Array;
  decodeDynamicNeighbor(reply: Uint8Array): Range | undefined;
  addDefinedSet(set: DefinedSet): Uint8Array;
  deleteDefinedSet(set: DefinedSet): Uint8Array;
  listDefinedSets(kind: DefinedSet['kind']): Uint8Array;
  decodeDefinedSet(reply: Uint8Array): DefinedSet | undefined;
  addPolicy(policy: Policy): Uint8Array;
  deletePolicy(name: string): Uint8Array;
  listPolicies(): Uint8Array;
  /** The policy's name. */
  decodePolicy(reply: Uint8Array): string | undefined;
  /** Replaces what passes between the table and all neighbours; no name: no policy. */
  setPolicyAssignment(assigned: AssignedPolicy): Uint8Array;
  listPolicyAssignments(): Uint8Array;
  decodePolicyAssignment(reply: Uint8Array): AssignedPolicy | undefined;
  /** Attributes come as bytes of BGP. */
  listPaths(family: 4 | 6): Uint8Array;
  /** Peer events always; best paths, all at first, when `paths`. */
  watch(paths: boolean): Uint8Array;
}

/** Whoever calls from inside the prefix is a neighbour with the group's properties. */
export interface Range {
  readonly prefix: string;
  readonly peerGroup: string;
}

/** GoBGP's global state; `asn` 0 means that it was not started. */
export interface ServerState {
  readonly asn: number;
  readonly routerId: string;
  readonly port: number;
  readonly listenAddresses: readonly string[];
  readonly multipath: boolean;
}

/** Paths in a message of the initial table; only GoBGP 4 is asked to split. */
export const watchBatchPaths = 1000;

/** What GoBGP 3 speaks. */
export const dialect3: Dialect = {
  ...createShared(gobgp3, 0),
  version: 3,
  service: '/apipb.GobgpApi/',
  stopBgp: () => gobgp3.StopBgpRequest.encode({}).finish(),
  listPaths: (family) =>
    gobgp3.ListPathRequest.encode({
      tableType: gobgp3.TableType.TABLE_TYPE_GLOBAL,
      family: unicast(family),
      enableOnlyBinary: true,
    }).finish(),
  watch(paths) {
    const filters = [{ type: gobgp3.FilterType.FILTER_TYPE_BEST, init: true }];
    const table = paths ? { filters } : undefined;
    return gobgp3.WatchEventRequest.encode({ peer: {}, table, batchSize: 0 }).finish();
  },
};

/** What GoBGP 4 speaks. */
export const dialect4: Dialect = {
  ...createShared(gobgp4, 1),
  version: 4,
  service: '/api.GoBgpService/',
  // A stop is meant, so the neighbours shall not keep our routes.
  stopBgp: () => gobgp4.StopBgpRequest.encode({ allowGracefulRestart: false }).finish(),
  listPaths: (family) =>
    gobgp4.ListPathRequest.encode({
      tableType: gobgp4.TableType.TABLE_TYPE_GLOBAL,
      family: unicast(family),
      enableOnlyBinary: true,
      batchSize: 0,
    }).finish(),
  watch(paths) {
    const filters = [{ type: gobgp4.FilterType.FILTER_TYPE_BEST, init: true }];
    const table = paths ? { filters } : undefined;
    return gobgp4.WatchEventRequest.encode({
      peer: {},
      table,
      batchSize: watchBatchPaths,
    }).finish();
  },
};

type Own = 'version' | 'service' | 'stopBgp' | 'listPaths' | 'watch';
type Messages = typeof gobgp3 | typeof gobgp4;

/** What is the same in both, but for the number at which enums begin. */
function createShared(messages: Messages, first: 0 | 1): Omit<Dialect, Own> {
  return {
    ...createServerPart(messages),
    ...createPeerPart(messages, first),
    ...createRangePart(messages),
    ...createPolicyPart(messages, first),
  };
}

function createServerPart(messages: Messages) {
  return {
    startBgp: (server: BgpServerRow) =>
      messages.StartBgpRequest.encode({ global: globalOf(server) }).finish(),
    decodeGetBgp(reply: Uint8Array): ServerState {
      const global = messages.GetBgpResponse.decode(reply).global;
      return {
        asn: global?.asn ?? 0,
        routerId: global?.routerId ?? '',
        port: global?.listenPort ?? 0,
        listenAddresses: global?.listenAddresses ?? [],
        multipath: global?.useMultiplePaths ?? false,
      };
    },
  };
}

function createPeerPart(messages: Messages, first: 0 | 1) {
  return {
    peer: (row: BgpPeerRow, context: PeerContext) =>
      messages.PeerRequest.encode({ peer: peerOf(row, context, first) }).finish(),
    deletePeer: (address: Ip | Prefix) => messages.DeletePeerRequest.encode({ address }).finish(),
    listPeers: (advertised: boolean) =>
      messages.ListPeerRequest.encode({ address: '', enableAdvertised: advertised }).finish(),
    decodePeer(reply: Uint8Array) {
      const peer = messages.ListPeerResponse.decode(reply).peer;
      return peer === undefined ? undefined : stateOf(peer, first);
    },
    resetPeer: (address: Ip, direction: Direction) =>
      messages.ResetPeerRequest.encode({
        address,
        soft: true,
        direction: first + (direction === 'import' ? 0 : 1),
      }).finish(),
  };
}

function createRangePart(messages: Messages) {
  return {
    peerGroup: (row: BgpPeerRow, context: PeerContext) =>
      messages.AddPeerGroupRequest.encode({ peerGroup: peerGroupOf(row, context) }).finish(),
    deletePeerGroup: (name: string) => messages.DeletePeerGroupRequest.encode({ name }).finish(),
    listPeerGroups: () => messages.ListPeerGroupRequest.encode({ peerGroupName: '' }).finish(),
    decodePeerGroup(reply: Uint8Array) {
      const { peerGroup } = messages.ListPeerGroupResponse.decode(reply);
      return peerGroup === undefined ? undefined : rangeOf(peerGroup);
    },
    addDynamicNeighbor: (range: Range) =>
      messages.AddDynamicNeighborRequest.encode({ dynamicNeighbor: range }).finish(),
    deleteDynamicNeighbor: (range: Range) => messages.DynamicNeighbor.encode(range).finish(),
    listDynamicNeighbors: () =>
      messages.ListDynamicNeighborRequest.encode({ peerGroup: '' }).finish(),
    decodeDynamicNeighbor: (reply: Uint8Array) =>
      messages.ListDynamicNeighborResponse.decode(reply).dynamicNeighbor,
  };
}

/** GoBGP's name of the table that is not of one neighbour. */
const globalTable = 'global';

function createPolicyPart(messages: Messages, first: 0 | 1) {
  return {
    addDefinedSet: (set: DefinedSet) =>
      messages.DefinedSetRequest.encode({ definedSet: setRequest(set, first) }).finish(),
    deleteDefinedSet: (set: DefinedSet) =>
      messages.DeleteDefinedSetRequest.encode({
        definedSet: setRequest({ ...set, list: [], prefixes: [] }, first),
        all: true,
      }).finish(),
    listDefinedSets: (kind: DefinedSet['kind']) =>
      messages.ListDefinedSetRequest.encode({
        definedType: first + setKinds[kind],
        name: '',
      }).finish(),
    decodeDefinedSet(reply: Uint8Array): DefinedSet | undefined {
      const set = messages.ListDefinedSetResponse.decode(reply).definedSet;
      const kinds = Object.keys(setKinds) as DefinedSet['kind'][];
      const kind = kinds.find((one) => first + setKinds[one] === set?.definedType);
      if (set === undefined || kind === undefined) return undefined;
      return { kind, name: set.name, list: set.list, prefixes: set.prefixes };
    },
    addPolicy: (policy: Policy) =>
      messages.AddPolicyRequest.encode({
        policy: {
          name: policy.name,
          statements: policy.statements.map((make) => make(first)),
        },
      }).finish(),
    deletePolicy: (name: string) =>
      messages.DeletePolicyRequest.encode({ policy: { name, statements: [] }, all: true }).finish(),
    listPolicies: () => messages.ListPolicyRequest.encode({ name: '' }).finish(),
    decodePolicy: (reply: Uint8Array) => messages.ListPolicyResponse.decode(reply).policy?.name,
    ...createAssignmentPart(messages),
  };
}

function createAssignmentPart(messages: Messages) {
  return {
    setPolicyAssignment: ({ direction, name, otherwise }: AssignedPolicy) =>
      messages.SetPolicyAssignmentRequest.encode({
        assignment: {
          name: globalTable,
          direction: directionNumber[direction],
          policies: name === undefined ? [] : [{ name, statements: [] }],
          defaultAction: otherwise === 'accept' ? 1 : 2,
        },
      }).finish(),
    listPolicyAssignments: () =>
      messages.ListPolicyAssignmentRequest.encode({ name: globalTable, direction: 0 }).finish(),
    decodePolicyAssignment(reply: Uint8Array): AssignedPolicy | undefined {
      const { assignment } = messages.ListPolicyAssignmentResponse.decode(reply);
      if (assignment === undefined) return undefined;
      return {
        direction: assignment.direction === directionNumber.import ? 'import' : 'export',
        name: assignment.policies[0]?.name,
        otherwise: assignment.defaultAction === 2 ? 'reject' : 'accept',
      };
    },
  };
}

function unicast(family: 4 | 6): gobgp3.Family {
  return { afi: family === 4 ? 1 : 2, safi: 1 };
}

function globalOf(server: BgpServerRow): gobgp3.Global {
  return {
    asn: server.asn,
    routerId: server.routerId,
    listenPort: server.port,
    listenAddresses: [...server.listenAddresses],
    useMultiplePaths: true,
  };
}
