import { once } from 'node:events';
import { connect, createServer, type Socket } from 'node:net';
import { ConfigError, codeOf, LocalFailure } from './errors.ts';

/** The folder that one daemon alone may watch: `dev` and `ino` say which, `path` names it to people. */
export interface LockedFolder {
  readonly path: string;
  readonly dev: bigint;
  readonly ino: bigint;
}

const answerTimeoutMs = 500;

/**
 * Holds the folder for as long as this process lives, or until the lock is disposed of. The lock is a listening socket in the
 * abstract namespace, named after the folder's device and inode: the kernel lets one process have the name and takes
 * it back when that ends, however it ends; nothing stale stays behind. (It reaches as far as the network namespace: two
 * containers that share a folder are not kept apart.) Whoever connects is told the holder's pid.
 *
 * @throws ConfigError another process holds it
 */
export async function lockFolder({ path, dev, ino }: LockedFolder): Promise<AsyncDisposable> {
  const name = `\0dropledger-${dev}-${ino}`;
  const server = createServer(tellPid);
  try {
    await once(server.listen(name), 'listening');
  } catch (error) {
    if (codeOf(error) !== 'EADDRINUSE') throw new LocalFailure(`the folder ${path} can't be locked`, { cause: error });
    const pid = await holderOf(name);
    throw new ConfigError(`another dropledger${pid === undefined ? '' : ` (pid ${pid})`} already watches ${path}`, {
      hint: 'One daemon a folder: stop the other one, or give this one a folder of its own.',
      cause: error,
    });
  }
  server.on('error', () => {}); // a failed accept: the name stays ours
  server.unref();
  return {
    async [Symbol.asyncDispose]() {
      const { promise, resolve } = Promise.withResolvers<void>();
      server.close(() => resolve());
      await promise;
    },
  };
}

/** Any local user may connect: it gets the pid and is cut off at once. */
function tellPid(socket: Socket): void {
  socket.on('error', () => {});
  socket.end(`${process.pid}\n`, () => socket.destroy());
}

/** The pid that the holder of the name tells; undefined where it tells none in time. */
async function holderOf(name: string): Promise<number | undefined> {
  const { promise, resolve } = Promise.withResolvers<string>();
  const socket = connect(name);
  socket.setTimeout(answerTimeoutMs, () => resolve(''));
  socket.once('data', (data) => resolve(data.toString('latin1')));
  socket.once('error', () => resolve(''));
  socket.once('close', () => resolve(''));
  const answer = await promise;
  socket.destroy();
  const pid = /^(\d{1,10})\n$/.exec(answer)?.[1];
  return pid === undefined ? undefined : Number(pid);
}
