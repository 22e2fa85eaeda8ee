import { connect } from 'node:net';
import { createInterface } from 'node:readline';
import { codeOf, LocalFailure, messageOf, ServiceUnavailable } from '../service/errors.ts';
import type { Answer, Question } from './protocol.ts';

/** An answer may take this long; putting many files back tells of each as it goes. */
const patienceMs = 30_000;

/**
 * Asks a running daemon; yields the lines of its answer. The signal hangs up.
 * @throws ServiceUnavailable where none listens, LocalFailure where it answers with an error or this user may not ask.
 */
export async function* ask(path: string, question: Question, signal?: AbortSignal): AsyncGenerator<Answer> {
  signal?.throwIfAborted();
  const socket = connect(path);
  const hangUp = () => socket.destroy(new Error('hung up'));
  signal?.addEventListener('abort', hangUp);
  socket.setTimeout(patienceMs, () => socket.destroy(new Error('no answer in time')));
  try {
    socket.write(`${JSON.stringify(question)}\n`);
    for await (const line of linesOf(socket)) {
      const answer = JSON.parse(line) as Answer;
      if ('error' in answer) throw new LocalFailure(answer.error);
      yield answer;
      if (answer.done) return;
    }
    throw new Error('it hung up');
  } catch (error) {
    throw error instanceof LocalFailure ? error : explain(path, error);
  } finally {
    signal?.removeEventListener('abort', hangUp);
    socket.destroy();
  }
}

/** `readline` swallows the errors of its input. */
async function* linesOf(socket: ReturnType<typeof connect>): AsyncGenerator<string> {
  let failure: unknown;
  const lines = createInterface({ input: socket });
  socket.on('error', (error) => {
    failure = error;
    lines.close();
  });
  yield* lines;
  if (failure !== undefined) throw failure;
}

function explain(path: string, cause: unknown): Error {
  switch (codeOf(cause)) {
    case 'ENOENT':
    case 'ECONNREFUSED':
      return new ServiceUnavailable('daemon', `no daemon listens at ${path}`, {
        hint: 'is it running? systemctl status dropledger (and is this its configuration? --config FILE)',
        cause,
      });
    case 'EACCES':
      return new LocalFailure(`this user may not speak to the daemon at ${path}`, {
        hint: 'members of the group of the service may: sudo usermod -aG dropledger USER, and log in again; or use sudo',
        cause,
      });
    default:
      return new ServiceUnavailable('daemon', `the daemon at ${path} does not answer: ${messageOf(cause)}`, {
        hint: 'systemctl status dropledger tells how it is; when many ask at once, try again',
        cause,
      });
  }
}
