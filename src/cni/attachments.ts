import { createHash, randomBytes } from 'node:crypto';
import type { Clock } from '../core/clock.ts';
import type { Ip } from '../core/ip.ts';
import { podMtuOf } from '../model/encapsulation.ts';
import type { Attachment } from '../model/facts.ts';
import type { Store } from '../model/store.ts';
import { planAddresses } from './addresses.ts';
import {
  type AttachmentFile,
  createAttachmentFile,
  loadAttachmentState,
} from './attachment-file.ts';
import type { Call } from './call.ts';
import { cniCode, type Outcome, refused, succeeded } from './failure.ts';
import { createLeases, type Leases } from './leases.ts';
import { createTurns } from './turns.ts';

/**
 * Attaches pods: the state behind the CNI server.
 *
 * ADD: lease on disk → interface → fact in the store → wait until VPP has it → result. A crash
 * between two steps leaves at most an attachment on disk whose interface is not there, which
 * the next start cleans, or one that is whole, which a repeated ADD returns as it is. A failure
 * undoes the steps in reverse.
 *
 * DEL: fact out of the store → wait a little until VPP has let go → interface → disk. A crash
 * leaves the attachment on disk, and the runtime repeats DEL because it got no answer.
 *
 * Calls for one attachment run one after another; others run beside them.
 */
export interface Attachments {
  add(call: Call): Promise<Outcome<Attachment>>;
  remove(key: string): Promise<Outcome<undefined>>;
  check(key: string): Outcome<undefined>;
  /** Removes what is not in `valid`. */
  collect(valid: ReadonlySet<string>): Promise<Outcome<undefined>>;
  /** Whether an ADD could succeed now. */
  status(): Outcome<undefined>;
}

/** The Linux half; src/host has the real one (`createPodWiring`). */
export interface PodWiring {
  create(attachment: Attachment): void;
  /** Only for taps: when VPP has made the interface in the pod. */
  configure(attachment: Attachment): void;
  remove(attachment: Pick<Attachment, 'kind' | 'hostInterface'>): Promise<void>;
  exists(attachment: Attachment): boolean;
  check(attachment: Attachment): string | undefined;
}

export interface CniLog {
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
}

export interface AttachmentOptions {
  readonly store: Store;
  readonly wiring: PodWiring;
  readonly stateFile: string;
  readonly clock: Clock;
  readonly log: CniLog;
  readonly signal: AbortSignal;
  /**
   * Resolves when what was committed for the attachment up to `revision` of the store is in
   * force; rejects with the signal's reason.
   */
  awaitApplied(key: string, revision: number, signal: AbortSignal): Promise<void>;
  /** Whether VPP can make taps here: /dev/vhost-net exists. */
  readonly hasVhostNet: boolean;
}

/** Below the executable's 110 s, so that the answer still reaches the runtime. */
export const addDeadlineMs = 60_000;
/** VPP may be away for long; the pod's interface goes anyway. */
export const removeDeadlineMs = 5_000;

/** Loads what is on disk, cleans what a crash or a reboot left, and tells the planners. */
export async function createAttachments(options: AttachmentOptions): Promise<Attachments> {
  const leases = createLeases(await loadAttachmentState(options.stateFile));
  const file = createAttachmentFile(options.stateFile, () => leases.state);
  const site: Site = { ...options, leases, file };
  const inTurn = createTurns();
  await dropVanished(site);
  options.store.replace('attachments', leases.state.attachments);
  return {
    add: (call) => inTurn(`${call.containerId}/${call.ifName}`, () => attach(site, call)),
    remove: (key) => inTurn(key, () => detach(site, key)),
    check(key) {
      const attachment = leases.state.attachments.get(key);
      if (attachment === undefined) return refused(cniCode.unknownContainer, `${key} is unknown`);
      const problem = options.wiring.check(attachment);
      if (problem === undefined) return succeeded(undefined);
      return refused(cniCode.io, `${key}: ${problem}`);
    },
    async collect(valid) {
      for (const key of [...leases.state.attachments.keys()].filter((k) => !valid.has(k))) {
        const removed = await inTurn(key, () => detach(site, key));
        if (!removed.ok) return removed;
      }
      return succeeded(undefined);
    },
    status() {
      const ips = freeAddresses(site);
      return ips.ok ? succeeded(undefined) : refused(cniCode.notAvailable, ips.problem);
    },
  };
}

/** Everything that one call works with. */
interface Site extends AttachmentOptions {
  readonly leases: Leases;
  readonly file: AttachmentFile;
}

async function dropVanished(site: Site): Promise<void> {
  const { leases, file, wiring, log } = site;
  const vanished = [...leases.state.attachments.values()].filter((a) => !wiring.exists(a));
  if (vanished.length === 0) return;
  for (const { key, pod, ips } of vanished) {
    log.warn({ key, pod, ips }, 'attachment without an interface: removed');
    leases.release(key);
  }
  await file.save();
}

async function attach(site: Site, call: Call): Promise<Outcome<Attachment>> {
  const { leases, file, wiring, log } = site;
  const key = `${call.containerId}/${call.ifName}`;
  const known = leases.state.attachments.get(key);
  if (known !== undefined && known.netns === call.netns && wiring.check(known) === undefined) {
    // The pod may be running: nothing is undone when the data plane happens to be away.
    return publish(site, known);
  }
  const plan = known === undefined ? planAttachment(site, call) : succeeded(remade(known, call));
  if (!plan.ok) return plan;
  // VPP keeps reading an interface that is gone until it is told to close it.
  if (known !== undefined) await letGo(site, key);
  leases.take(plan.value);
  try {
    await file.save();
    await wiring.remove(plan.value); // What is left of it, or of one whose file was lost.
    wiring.create(plan.value);
  } catch (error) {
    await undo(site, key);
    return refused(cniCode.io, `${key}: ${reasonOf(error)}`);
  }
  const published = await publish(site, plan.value);
  if (!published.ok) await undo(site, key);
  else log.info({ key, pod: plan.value.pod, ips: plan.value.ips }, 'pod attached');
  return published;
}

/**
 * A repeated ADD whose interface is damaged, or whose namespace moved: the addresses stay, and
 * the MACs are new so that VPP's row changes and VPP surely opens the new interface.
 */
function remade(known: Attachment, call: Call): Attachment {
  return { ...known, netns: call.netns, mac: randomMac(), gatewayMac: randomMac() };
}

/** Tells the planners, and waits until the data plane serves the pod. */
async function publish(site: Site, attachment: Attachment): Promise<Outcome<Attachment>> {
  const { store, wiring } = site;
  const { key } = attachment;
  store.commit('attachments', [[key, attachment]]);
  try {
    await withDeadline(site, addDeadlineMs, (signal) =>
      site.awaitApplied(key, store.revision, signal),
    );
    if (attachment.kind === 'tap') wiring.configure(attachment);
  } catch (error) {
    const message = `${key}: not in force in the data plane: ${reasonOf(error)}`;
    return refused(cniCode.tryAgainLater, message);
  }
  return succeeded(attachment);
}

/** Back to before the ADD, as far as it goes; what remains is cleaned by DEL or the start. */
async function undo(site: Site, key: string): Promise<void> {
  const { store, leases, file, wiring, log } = site;
  const attachment = leases.state.attachments.get(key);
  if (attachment === undefined) return;
  try {
    store.commit('attachments', [[key, undefined]]);
    await wiring.remove(attachment);
    leases.release(key);
    await file.save();
  } catch (error) {
    log.warn({ key, err: error }, 'attachment could not be undone');
  }
}

/** Takes the attachment from the planners, and gives VPP a moment to close its interface. */
async function letGo(site: Site, key: string): Promise<void> {
  const { store, log } = site;
  store.commit('attachments', [[key, undefined]]);
  try {
    await withDeadline(site, removeDeadlineMs, (signal) =>
      site.awaitApplied(key, store.revision, signal),
    );
  } catch (error) {
    log.warn({ key, reason: reasonOf(error) }, 'pod leaves before the data plane let go');
  }
}

async function detach(site: Site, key: string): Promise<Outcome<undefined>> {
  const { leases, file, wiring, log } = site;
  const attachment = leases.state.attachments.get(key);
  if (attachment === undefined) {
    // Unknown is fine; but after a lost file there may be an interface of that name.
    await wiring.remove({ kind: 'veth', hostInterface: hostInterfaceName(key) });
    return succeeded(undefined);
  }
  await letGo(site, key);
  try {
    await wiring.remove(attachment);
    leases.release(key);
    await file.save();
  } catch (error) {
    return refused(cniCode.io, `${key}: ${reasonOf(error)}`);
  }
  log.info({ key, pod: attachment.pod, ips: attachment.ips }, 'pod detached');
  return succeeded(undefined);
}

function planAttachment(site: Site, call: Call): Outcome<Attachment> {
  const { store, hasVhostNet } = site;
  const config = store.facts.config.get('config');
  if (config === undefined) return refused(cniCode.tryAgainLater, 'no configuration yet');
  const uplink = store.facts.uplink.get('uplink');
  if (uplink === undefined) return refused(cniCode.tryAgainLater, 'no uplink yet');
  const { pods } = config;
  const ips = freeAddresses(site);
  if (!ips.ok) return ips;
  const auto = hasVhostNet ? 'tap' : 'veth';
  return succeeded({
    key: `${call.containerId}/${call.ifName}`,
    containerId: call.containerId,
    ifName: call.ifName,
    pod: call.pod.key,
    podUid: call.pod.uid,
    hostInterface: hostInterfaceName(`${call.containerId}/${call.ifName}`),
    kind: pods.interfaceKind === 'auto' ? auto : pods.interfaceKind,
    netns: call.netns,
    ips: ips.value,
    mac: randomMac(),
    gatewayMac: randomMac(),
    mtu: podMtuOf(config, uplink),
  });
}

function freeAddresses(site: Site): Outcome<readonly Ip[]> {
  const { store, leases } = site;
  const nodeName = store.facts.config.get('config')?.nodeName ?? '';
  const node = store.facts.nodes.get(nodeName);
  if (node === undefined) return refused(cniCode.tryAgainLater, `no Node ${nodeName} yet`);
  const used = new Set([...leases.state.attachments.values()].flatMap((a) => a.ips));
  const ips = planAddresses(node.podCidrs, { used, freed: leases.state.freed });
  return ips.ok ? succeeded(ips.value) : refused(cniCode.tryAgainLater, ips.problem);
}

/** Aborts `work` after `deadlineMs`, or when the daemon stops. */
async function withDeadline(
  { clock, signal }: Pick<AttachmentOptions, 'clock' | 'signal'>,
  deadlineMs: number,
  work: (signal: AbortSignal) => Promise<void>,
): Promise<void> {
  const deadline = new AbortController();
  const reason = new Error(`not within ${deadlineMs / 1000} s`);
  const timer = clock.after(deadlineMs, () => deadline.abort(reason));
  try {
    signal.throwIfAborted();
    await work(AbortSignal.any([signal, deadline.signal]));
  } finally {
    timer.cancel();
  }
}

/** The same for the same attachment, so that an interface is found although its file is lost. */
export function hostInterfaceName(key: string): string {
  return `kvr${createHash('sha256').update(key).digest('hex').slice(0, 12)}`;
}

/** Locally administered, unicast. */
function randomMac(): string {
  const bytes = randomBytes(6);
  bytes[0] = ((bytes[0] ?? 0) & 0xfc) | 0x02;
  return bytes.toString('hex').replace(/(..)(?=.)/g, '$1:');
}

function reasonOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
