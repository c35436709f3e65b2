import { connectVpp, type VppConnection } from '../native/vpp-api/client.ts';
import type { FieldsOf } from '../native/vpp-api/codec.ts';
import { prefix } from '../src/core/ip.ts';
import { duration, type Figure, figure, median } from './figures.ts';
import { address } from './messages.ts';
import { type Plane, startPlane } from './plane.ts';

/** The longest time for which one call may keep VPP's main thread, which forwards nothing then. */
const callMaxMs = 10;

/** Interfaces with lists at most. */
const interfacesMax = 200;

/**
 * How many interfaces have a replaced ACL, and how many ACLs are behind it in their lists. VPP
 * applies those anew, too: on 200 interfaces with 9 behind, one call takes 32 ms, three times
 * what is allowed. So nothing that is in so many lists is replaced in place.
 */
const replaced = [
  { on: 1, behind: 0 },
  { on: 1, behind: 9 },
  { on: 50, behind: 0 },
  { on: 50, behind: 9 },
  { on: interfacesMax, behind: 0 },
];

const none = 0xffff_ffff;

type Rule = FieldsOf<'acl_add_replace'>['r'][number];

/** A fresh VPP with interfaces, and the numbers that the next rules will have. */
interface Rig {
  readonly vpp: VppConnection;
  readonly interfaces: readonly number[];
  rules: number;
}

/** One kind of call: `prepare` makes what it needs and gives the call, by its number. */
interface Case {
  readonly name: string;
  readonly times: number;
  prepare(rig: Rig): Promise<(index: number) => Promise<unknown>>;
}

/** What changes of filters cost VPP: ACLs made, bound, exchanged in a list, and replaced. */
export async function benchAcl(kind: Plane['kind'], quick: boolean): Promise<Figure[]> {
  const plane = await startPlane(kind);
  try {
    await using vpp = await connectVpp({ path: plane.apiSocket, name: 'bench' });
    const rig: Rig = { vpp, interfaces: await makeInterfaces(vpp), rules: 0 };
    await vpp.request('cli_inband', { cmd: 'set acl-plugin reclassify-sessions 1' });
    await vpp.request('acl_stats_intf_counters_enable', { enable: true });
    const figures: Figure[] = [];
    for (const one of allCases(quick)) figures.push(await measure(rig, one));
    return figures;
  } finally {
    await plane.stop();
  }
}

function allCases(quick: boolean): Case[] {
  return [
    ...[32, 128, 512, 900].map(newCase),
    ...(
      [
        [100, 10],
        [300, 10],
        [1000, 10],
        [1000, 50],
        [1000, 200],
        [3000, 10],
        [3000, 50],
        [3000, 200],
      ] as const
    )
      .filter(([rules]) => !quick || rules <= 1000)
      .flatMap(([rules, acls]) => [bindCase(rules, acls), exchangeCase(rules, acls)]),
    ...[32, 128].flatMap((size) => replaced.map(({ on, behind }) => replaceCase(size, on, behind))),
  ];
}

const newCase = (size: number): Case => ({
  name: `acl new, ${size} rules`,
  times: 20,
  prepare: async (rig) => () => put(rig, size),
});

const bindCase = (rules: number, acls: number): Case => ({
  name: `acl bind, ${rules} rules in ${acls} ACLs`,
  times: 10,
  async prepare(rig) {
    const list = await makeList(rig, rules, acls);
    return (index) => bind(rig, rig.interfaces[index] ?? 0, list);
  },
});

/** The first ACL of a list becomes another one, and is itself again. */
const exchangeCase = (rules: number, acls: number): Case => ({
  name: `acl exchange one of ${acls} ACLs, ${rules} rules`,
  times: 10,
  async prepare(rig) {
    const list = await makeList(rig, rules, acls);
    const other = [await put(rig, Math.round(rules / acls)), ...list.slice(1)];
    const on = rig.interfaces[0] ?? 0;
    await bind(rig, on, list);
    return (index) => bind(rig, on, index % 2 === 0 ? other : list);
  },
});

const replaceCase = (size: number, on: number, more: number): Case => ({
  name: `acl replace ${size} rules in place, on ${on}, ${more} ACLs of 32 behind it`,
  times: 5,
  async prepare(rig) {
    const acl = await put(rig, size);
    const list = [acl, ...(await makeList(rig, 32 * more, more))];
    for (const one of rig.interfaces.slice(0, on)) await bind(rig, one, list);
    return () => put(rig, size, acl);
  },
});

async function measure(rig: Rig, { name, times, prepare }: Case): Promise<Figure> {
  const call = await prepare(rig);
  const alone: number[] = [];
  for (let index = 0; index < times; index++) {
    const startMs = performance.now();
    await call(index);
    alone.push(performance.now() - startMs);
  }
  const startMs = performance.now();
  await Promise.all(Array.from({ length: times }, (_, index) => call(times + index)));
  const eachMs = (performance.now() - startMs) / times;
  await forget(rig);
  const measured = `${duration(eachMs)} of many, ${duration(median(alone))} alone`;
  const words = { measured, limit: `${callMaxMs} ms a call` };
  return figure(name, words, eachMs / callMaxMs, { atMost: 1 });
}

async function forget({ vpp, interfaces }: Rig): Promise<void> {
  for (const on of interfaces) await bind({ vpp }, on, []);
  const all = await vpp.dump('acl_dump', { acl_index: none });
  await Promise.all(all.map(({ acl_index }) => vpp.request('acl_del', { acl_index })));
}

async function makeInterfaces(vpp: VppConnection): Promise<number[]> {
  const made = Array.from({ length: interfacesMax }, (_, index) => {
    const hex = index.toString(16).padStart(2, '0');
    return vpp.request('create_loopback', { mac_address: `02:00:00:00:00:${hex}` });
  });
  return (await Promise.all(made)).map(({ sw_if_index }) => sw_if_index);
}

async function makeList(rig: Rig, rules: number, acls: number): Promise<number[]> {
  const list: number[] = [];
  for (let made = 0; made < acls; made++) list.push(await put(rig, Math.round(rules / acls)));
  return list;
}

async function put(rig: Rig, size: number, index = none): Promise<number> {
  const r = Array.from({ length: size }, () => rule(rig.rules++));
  const reply = await rig.vpp.request('acl_add_replace', { acl_index: index, tag: 'bench', r });
  return reply.acl_index;
}

/** As what a pod is sent: a pod is filtered more on this side. */
function bind({ vpp }: Pick<Rig, 'vpp'>, on: number, output: readonly number[]) {
  return vpp.request('acl_interface_set_acl_list', {
    sw_if_index: on,
    n_input: 0,
    acls: [...output],
  });
}

/** Hosts of both families, with one port, a range of ports, or all protocols. */
function rule(number: number): Rule {
  const isIp6 = number % 2 === 1;
  const host = `fd00::${(number >> 16).toString(16)}:${(number & 0xffff).toString(16)}/128`;
  const [first, last, proto] = (
    [
      [80, 80, 6],
      [8000, 8063, 6],
      [0, 65_535, 0],
    ] as const
  )[number % 3] ?? [0, 65_535, 0];
  return {
    is_permit: 2,
    src_prefix: prefix(isIp6 ? host : `${address(number, 10)}/32`),
    dst_prefix: prefix(isIp6 ? '::/0' : '0.0.0.0/0'),
    proto,
    srcport_or_icmptype_first: 0,
    srcport_or_icmptype_last: 65_535,
    dstport_or_icmpcode_first: first,
    dstport_or_icmpcode_last: last,
    tcp_flags_mask: 0,
    tcp_flags_value: 0,
  };
}
