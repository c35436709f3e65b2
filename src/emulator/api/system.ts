import type { Family } from '../address.ts';
import { formatEnd } from '../cnat/nodes.ts';
import {
  type CnatFeatures,
  countFeature,
  type FeatureCount,
  type Interface,
  noInterface,
} from '../plane/interfaces.ts';
import { formatSessions } from './bfd.ts';
import { formatCapture } from './capture.ts';
import { sorted } from './lookup.ts';
import { type Answers, Retval, type World } from './world.ts';

/** What `show_version` says; the daemon refuses releases before 26.06. */
export const emulatedVersion = '26.06';

/** Version, ping, command line, features. */
export function systemAnswers(world: World): Answers {
  return {
    control_ping: (_fields, caller) => ({
      retval: 0,
      client_index: caller.clientIndex,
      vpe_pid: world.processId,
    }),
    show_version: () => ({
      retval: 0,
      program: 'vpe',
      version: `${emulatedVersion}-embedded`,
      build_date: '',
      build_directory: '',
    }),
    api_versions: () => ({ retval: 0, api_versions: [] }),
    sockclnt_delete: () => ({ response: 1 }),
    memclnt_keepalive: () => ({ retval: 0 }),
    show_vpe_system_time: () => ({ retval: 0, vpe_system_time: world.plane.now() }),
    show_threads: () => ({ retval: 0, thread_data: [] }),
    cli_inband: (fields) => ({ retval: 0, reply: runCommand(world, fields.cmd.trim()) }),
    ...featureAnswers(world),
    ...mssAnswers(world),
    tap_create_v3: () => ({
      // Without /dev/vhost-net VPP cannot make a tap (facts); the emulator never has it.
      retval: Retval.syscallError1,
      sw_if_index: noInterface,
    }),
    *sw_interface_tap_v2_dump() {},
    *memif_dump() {},
  };
}

function featureAnswers(world: World): Answers {
  return {
    feature_is_enabled(fields) {
      const one = world.plane.interfaces.get(fields.sw_if_index);
      if (one === undefined) return { retval: Retval.invalidSwIfIndex, is_enabled: false };
      const name = fields.feature_name;
      const arc = fields.arc_name;
      // VPP's error for an unknown arc is a number that is not 0, which it sends as true.
      if (!/^ip[46]-(unicast|output)$/.test(arc)) return { retval: 0, is_enabled: true };
      const cnat = cnatFeature(one, arc, name);
      if (cnat !== undefined) return { retval: 0, is_enabled: cnat.count[cnat.family] > 0 };
      const binding = world.plane.acl.bindings.get(one.index);
      const aclIn = name.startsWith('acl-plugin-in-ip') && (binding?.input.length ?? 0) > 0;
      const aclOut = name.startsWith('acl-plugin-out-ip') && (binding?.output.length ?? 0) > 0;
      return { retval: 0, is_enabled: aclIn || aclOut };
    },
    feature_enable_disable(fields) {
      const one = world.plane.interfaces.get(fields.sw_if_index);
      if (one === undefined) return { retval: Retval.invalidSwIfIndex };
      const cnat = cnatFeature(one, fields.arc_name, fields.feature_name);
      if (cnat === undefined) return { retval: Retval.invalidValue };
      countFeature(cnat.count, cnat.family, fields.enable);
      return { retval: 0 };
    },
  };
}

/** The counter of one of cnat's features on an arc; undefined for other features. */
function cnatFeature(
  one: Interface,
  arc: string,
  name: string,
): { readonly count: FeatureCount; readonly family: Family } | undefined {
  const match = /^cnat-(lookup|input|output|writeback)-ip([46])$/.exec(name);
  if (match === null) return undefined;
  const feature = match[1] as keyof CnatFeatures;
  const family = match[2] === '4' ? 4 : 6;
  const side = feature === 'lookup' || feature === 'input' ? 'unicast' : 'output';
  return arc === `ip${family}-${side}` ? { count: one.cnat[feature], family } : undefined;
}

function mssAnswers(world: World): Answers {
  const { interfaces } = world.plane;
  return {
    mss_clamp_enable_disable(fields) {
      const one = interfaces.get(fields.sw_if_index);
      if (one === undefined) return { retval: Retval.invalidSwIfIndex };
      const direction = fields.ipv4_direction | fields.ipv6_direction;
      one.mssClamp =
        direction === 0 ? undefined : { direction, ip4: fields.ipv4_mss, ip6: fields.ipv6_mss };
      return { retval: 0 };
    },
    mss_clamp_get(fields) {
      const details = sorted(world)
        .filter((one) => fields.sw_if_index === noInterface || fields.sw_if_index === one.index)
        .flatMap(({ index, mssClamp }) =>
          mssClamp === undefined
            ? []
            : [
                {
                  sw_if_index: index,
                  ipv4_mss: mssClamp.ip4,
                  ipv6_mss: mssClamp.ip6,
                  ipv4_direction: mssClamp.direction,
                  ipv6_direction: mssClamp.direction,
                },
              ],
        );
      return { details, reply: { retval: 0, cursor: noInterface } };
    },
  };
}

/** The few commands that the daemon and people use. */
function runCommand(world: World, command: string): string {
  const { plane } = world;
  const timeout = /^set acl-plugin session timeout (udp idle|tcp idle|tcp transient) (\d+)$/.exec(
    command,
  );
  if (timeout !== null) {
    const seconds = Number(timeout[2]);
    if (timeout[1] === 'udp idle') plane.acl.timeouts.udpIdle = seconds;
    else if (timeout[1] === 'tcp idle') plane.acl.timeouts.tcpIdle = seconds;
    else plane.acl.timeouts.tcpTransient = seconds;
    return '';
  }
  const reclassify = /^set acl-plugin reclassify-sessions ([01])$/.exec(command);
  if (reclassify !== null) {
    plane.acl.reclassify = reclassify[1] === '1';
    return '';
  }
  const entries = /^set acl-plugin session table max-entries (\d+)$/.exec(command);
  if (entries !== null) {
    plane.acl.sessionEntries = Number(entries[1]);
    return '';
  }
  const scanner = /^test cnat scanner (on|off)$/.exec(command);
  if (scanner !== null) {
    plane.cnat.sessions.scanning = scanner[1] === 'on';
    return '';
  }
  if (command === 'show version') return `vpp v${emulatedVersion} (embedded data plane)\n`;
  if (command === 'show cnat translation') {
    return [...plane.cnat.translations.all.values()]
      .map((one) => {
        const backends = one.trackers.map((tracker) => formatEnd(tracker)).join(' ');
        const lb = one.lbType === 1 ? 'maglev' : 'default';
        return `[${one.id}] ${formatEnd({ addr: one.vip, port: one.port })} lb:${lb} ${backends}\n`;
      })
      .join('');
  }
  if (command === 'pcap trace status') return formatCapture(world);
  if (command === 'show acl-plugin sessions') {
    const count = plane.acl.sessionCount;
    return `Sessions total: add ${count} - del 0 = ${count}\n`;
  }
  if (command === 'show bfd sessions') return formatSessions(world);
  if (command === 'show cnat session') return `${plane.cnat.sessions.count} flows\n`;
  return `unknown command: ${command}\n`;
}
