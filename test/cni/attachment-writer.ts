import { pathToFileURL } from 'node:url';
import { type AttachmentState, createAttachmentFile } from '../../src/cni/attachment-file.ts';
import { ip } from '../../src/core/ip.ts';
import type { Attachment } from '../../src/model/facts.ts';

/** A state with attachments c1, c2, … of `count` pods. */
export function attachmentState(count: number): AttachmentState {
  const attachments = new Map<string, Attachment>();
  for (let i = 1; i <= count; i++) {
    const key = `c${i}/eth0`;
    attachments.set(key, {
      key,
      containerId: `c${i}`,
      ifName: 'eth0',
      pod: `shop/web-${i}`,
      podUid: '',
      hostInterface: `kvr${i}`,
      kind: 'veth',
      netns: `/run/netns/${i}`,
      ips: [ip(`10.1.${i >> 8}.${(i & 255) + 1}`)],
      mac: '02:00:00:00:00:01',
      gatewayMac: '02:00:00:00:00:02',
      mtu: 1450,
    });
  }
  return { attachments, freed: [ip('10.9.0.1')] };
}

/** Saves one attachment more each time and says so, until it is killed. */
async function writeForEver(path: string): Promise<never> {
  let count = 0;
  const file = createAttachmentFile(path, () => attachmentState(count));
  for (;;) {
    count++;
    await file.save();
    process.stdout.write(`${count}\n`);
  }
}

const [, started = '', path] = process.argv;
if (path !== undefined && pathToFileURL(started).href === import.meta.url) await writeForEver(path);
