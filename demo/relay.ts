import { connect, createServer } from 'node:net';

/**
 * Puts the API server, which runs outside of the demo's network, at an address inside it: a TCP
 * port relayed to the server's unix socket. Arguments: address, port, socket.
 */
const [address, port, socketPath] = process.argv.slice(2);
if (address === undefined || port === undefined || socketPath === undefined) {
  throw new Error('usage: relay ADDRESS PORT SOCKET');
}

const server = createServer({ noDelay: true }, (outside) => {
  const inside = connect(socketPath);
  outside.pipe(inside);
  inside.pipe(outside);
  // One side broken is the end of both; the client sees it as its own connection's end.
  outside.on('error', () => inside.destroy());
  inside.on('error', () => outside.destroy());
  outside.on('close', () => inside.destroy());
  inside.on('close', () => outside.destroy());
});
server.listen({ host: address, port: Number(port) });
