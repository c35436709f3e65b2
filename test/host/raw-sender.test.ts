import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { ip } from '../../src/core/ip.ts';
import { createRawSender } from '../../src/host/raw-sender.ts';
import { udp } from '../emulator/rig.ts';
import { asRoot, createNamespaces } from './namespaces.ts';

/** Two hosts on a wire; the second one has no other way than the first. */
function createWire() {
  const spaces = createNamespaces('raw', 2);
  const [, second = ''] = spaces.paths;
  spaces.run(
    0,
    `ip link add wire0 type veth peer name wire1 netns ${second.split('/').at(-1)}
    ip link set wire0 up; ip addr add 192.0.2.1/24 dev wire0
    ip -6 addr add 2001:db8::1/64 dev wire0 nodad`,
  );
  spaces.run(
    1,
    `ip link set wire1 up; ip addr add 192.0.2.2/24 dev wire1
    ip -6 addr add 2001:db8::2/64 dev wire1 nodad
    ip route add default via 192.0.2.1; ip -6 route add default via 2001:db8::1`,
  );
  return spaces;
}

/** Says that it listens, then whom it heard. */
const listener = `
const [kind, address] = process.argv.slice(1);
const socket = require('node:dgram').createSocket(kind);
socket.once('message', (message, from) => {
  console.log(from.address, from.port, String(message));
  socket.close();
});
socket.bind(7000, address, () => console.log('listens'));`;

describe('whole packets through the stack of the host', () => {
  asRoot(() => {
    for (const [source, to, kind] of [
      ['198.51.100.7:1000', '192.0.2.2', 'udp4'],
      ['[2001:db8:7::7]:1000', '2001:db8::2', 'udp6'],
    ] as const)
      it(`NP-24 ${kind}: a datagram arrives with the source that it says`, async () => {
        using spaces = createWire();
        const [here = '', there = ''] = spaces.paths;
        using sender = createRawSender(here);
        const child = spawn('nsenter', [
          `--net=${there}`,
          process.execPath,
          ...['-e', listener, kind, to],
        ]);
        const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
        assert.equal((await lines.next()).value, 'listens');
        sender.send(udp(source, kind === 'udp4' ? `${to}:7000` : `[${to}]:7000`), ip(to));
        const heard = `${source.replace(/^\[|\]/g, '').replace(/:1000$/, '')} 1000 hello`;
        assert.equal((await lines.next()).value, heard);
      });

    it('says what the kernel refuses', () => {
      using spaces = createNamespaces('raw', 1);
      using sender = createRawSender(spaces.paths[0]);
      const packet = udp('192.0.2.1:1000', '192.0.2.2:1000');
      assert.throws(() => sender.send(packet, ip('192.0.2.2')), /send to 192.0.2.2: ENETUNREACH/);
    });
  });
});
