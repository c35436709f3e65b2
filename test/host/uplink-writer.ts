import { claimUplink, releaseUplink } from '../../src/host/uplink.ts';

/** Claims and releases for ever, saying so before each, until it is killed. */
const [, , namespace = '', stateFile = ''] = process.argv;
for (let round = 1; ; round++) {
  process.stdout.write(`${round}\n`);
  await claimUplink({ interface: 'eth0', stateFile, namespace });
  await releaseUplink(stateFile, { namespace });
}
