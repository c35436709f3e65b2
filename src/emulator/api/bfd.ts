import type { FieldsOf } from '../../../native/vpp-api/codec.ts';
import { addrFromIp, ipFromAddr } from '../address.ts';
import { type BfdEnds, type BfdEntry, isOneFamily } from '../bfd/bfd.ts';
import { bfdStateNames } from '../bfd/control.ts';
import type { BfdParameters } from '../bfd/session.ts';
import { type Answers, Retval, type World } from './world.ts';

type Ends = FieldsOf<'bfd_udp_del'>;
type Timers = Pick<FieldsOf<'bfd_udp_mod'>, 'desired_min_tx' | 'required_min_rx' | 'detect_mult'>;

/** Sessions of single hops, without authentication. Source: VPP v26.06 `vnet/bfd/bfd_api.c`. */
export function bfdAnswers(world: World): Answers {
  const { bfd } = world;
  const add = (fields: FieldsOf<'bfd_udp_add'>, mayExist: boolean): number => {
    const ends = endsOf(fields);
    const problem = endsProblem(world, ends);
    if (problem !== 0) return problem;
    if (fields.detect_mult < 1 || fields.desired_min_tx < 1) return Retval.invalidArgument;
    // No keys are kept here, so none can be named.
    if (fields.is_authenticated) return Retval.bfdNoSuchEntry;
    const known = bfd.find(ends);
    if (known === undefined) bfd.add(ends, parametersOf(fields));
    else if (mayExist) known.session.change(parametersOf(fields));
    else return Retval.bfdExists;
    return 0;
  };
  const onSession = (fields: Ends, act: (entry: BfdEntry) => void) => {
    const ends = endsOf(fields);
    const problem = endsProblem(world, ends);
    const entry = problem === 0 ? bfd.find(ends) : undefined;
    if (entry === undefined) return { retval: problem === 0 ? Retval.bfdNoSuchEntry : problem };
    act(entry);
    return { retval: 0 };
  };
  return {
    bfd_udp_add: (fields) => ({ retval: add(fields, false) }),
    bfd_udp_upd: (fields) => ({ retval: add(fields, true), stats_index: 0 }),
    bfd_udp_mod: (fields) =>
      onSession(fields, ({ session }) => session.change(parametersOf(fields))),
    bfd_udp_del: (fields) => onSession(fields, (entry) => bfd.remove(entry)),
    bfd_udp_session_set_flags: (fields) =>
      onSession(fields, ({ session }) => session.setAdminUp((fields.flags & 1) !== 0)),
    *bfd_udp_session_dump() {
      for (const entry of bfd.all.values()) yield describeSession(entry);
    },
    want_bfd_events(fields, caller) {
      caller.subscribe('bfd_udp_session_event', fields.pid, fields.enable_disable);
      return { retval: 0 };
    },
  };
}

function endsOf({ sw_if_index: index, local_addr: local, peer_addr: peer }: Ends): BfdEnds {
  return { interface: index, local: addrFromIp(local), peer: addrFromIp(peer) };
}

function endsProblem(world: World, ends: BfdEnds): number {
  if (world.plane.interfaces.get(ends.interface) === undefined) return Retval.invalidSwIfIndex;
  return isOneFamily(ends) ? 0 : Retval.invalidArgument;
}

function parametersOf(fields: Timers): BfdParameters {
  const { desired_min_tx: minTxUs, required_min_rx: minRxUs, detect_mult: multiplier } = fields;
  return { minTxUs, minRxUs, multiplier };
}

/** A session as dumps and events carry it. */
export function describeSession(entry: BfdEntry): FieldsOf<'bfd_udp_session_details'> {
  const { state, parameters } = entry.session;
  return {
    sw_if_index: entry.interface,
    local_addr: ipFromAddr(entry.local),
    peer_addr: ipFromAddr(entry.peer),
    state,
    is_authenticated: false,
    bfd_key_id: 0,
    conf_key_id: 0,
    required_min_rx: parameters.minRxUs,
    desired_min_tx: parameters.minTxUs,
    detect_mult: parameters.multiplier,
  };
}

/** `show bfd sessions`: local value, then the neighbour's. */
export function formatSessions(world: World): string {
  const line = (index: string, what: string, local: string, remote: string) =>
    `${index.padStart(10)} ${what.padEnd(32)} ${local.padStart(20)} ${remote.padStart(20)}\n`;
  const sessions = [...world.bfd.all.values()].map((entry, i) => {
    const { local, peer, session } = entry;
    const family = local.length === 4 ? 4 : 6;
    const states = [bfdStateNames[session.state], bfdStateNames[session.remoteState]] as const;
    return (
      line(`${i}`, `IPv${family} address`, ipFromAddr(local), ipFromAddr(peer)) +
      line('', 'Session state', ...states)
    );
  });
  const head = line('Index', 'Property', 'Local value', 'Remote value');
  return `${head}${sessions.join('')}Number of configured BFD sessions: ${sessions.length}\n`;
}
