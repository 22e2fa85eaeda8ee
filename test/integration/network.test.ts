import { once } from 'node:events';
import { createServer, type ServerResponse } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import { expect, test } from 'vitest';
import { createNetwork } from '../../src/service/network.ts';

/** A server whose connections may go deaf, as they do when a firewall forgets them: open, and never answered again. */
async function startServer() {
  const sockets = new Set<Socket>();
  const deaf = new Set<Socket>();
  const held: ServerResponse[] = [];
  let newOnesAreDeaf = false;
  const server = createServer((request, response) => {
    if (deaf.has(request.socket)) return;
    if (request.url === '/held') held.push(response);
    else setTimeout(() => response.end('here'), 20);
  });
  server.on('connection', (socket) => {
    sockets.add(socket);
    if (newOnesAreDeaf) deaf.add(socket);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    origin: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    held,
    /** Also those that are opened until it hears again: a client may open one more before it takes an idle one. */
    goDeaf: () => {
      newOnesAreDeaf = true;
      for (const socket of sockets) deaf.add(socket);
    },
    hearNewOnes: () => {
      newOnesAreDeaf = false;
    },
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy();
      server.close();
      await once(server, 'close');
    },
  };
}

test('after one connection stalled the idle ones beside it are not tried, and what is under way goes on', async () => {
  await using server = await startServer();
  await using network = await createNetwork({ env: {}, stallMs: 500 });
  const get = (path: string, stallMs = 500) =>
    network.exchange({ origin: server.origin, path, method: 'GET', headers: {}, stallMs });
  await Promise.all([get('/1'), get('/2'), get('/3')]);
  server.goDeaf();
  // each of them would cost a stall
  await expect(get('/4')).rejects.toMatchObject({ code: 'STALLED' });
  server.hearNewOnes();
  expect(await get('/5')).toMatchObject({ status: 200, body: 'here' });

  const underWay = get('/held', 30_000);
  await expect.poll(() => server.held.length).toBe(1);
  server.goDeaf();
  await expect(get('/6')).rejects.toMatchObject({ code: 'STALLED' });
  server.hearNewOnes();
  expect(await get('/7')).toMatchObject({ body: 'here' });
  server.held[0]?.end('late');
  expect(await underWay).toMatchObject({ body: 'late' });
});
