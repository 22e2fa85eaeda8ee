import { readlinkSync } from 'node:fs';
import { setPriority } from 'node:os';
import { parentPort, type ResourceLimits, Worker } from 'node:worker_threads';
import { messageOf } from './errors.ts';

export interface HelperThread<Job, Answer> extends AsyncDisposable {
  /** Jobs begin in the order they are given. Rejects where the work threw, or the thread broke down. */
  ask(job: Job): Promise<Answer>;
  /** Whether it runs now. */
  isRunning(): boolean;
}

export interface HelperThreadOptions {
  /** Its module, without an extension: beside the one whose `import.meta.url` is given. */
  readonly module: string;
  readonly besides: string;
  readonly workerData?: unknown;
  readonly resourceLimits: ResourceLimits;
  /** Whether it holds nothing that a later job needs. */
  mayEnd?(): boolean;
}

interface Asked<Job> {
  readonly id: number;
  readonly job: Job;
}

type Answered<Answer> = { readonly id: number } & ({ readonly answer: Answer } | { readonly error: Error });

/** A thread that had nothing to do for so long is ended: it holds some megabytes. */
const idleMs = 30_000;

/** A thread for work that would hold up the event loop: started by the first job, ended when there is none for a while. */
export function createHelperThread<Job, Answer>(options: HelperThreadOptions): HelperThread<Job, Answer> {
  let thread: RunningThread<Job, Answer> | undefined;
  return {
    ask(job) {
      if (thread === undefined || thread.hasEnded()) thread = startThread(options);
      return thread.ask(job);
    },
    isRunning: () => thread !== undefined && !thread.hasEnded(),
    async [Symbol.asyncDispose]() {
      await thread?.end();
    },
  };
}

interface RunningThread<Job, Answer> {
  hasEnded(): boolean;
  ask(job: Job): Promise<Answer>;
  end(): Promise<void>;
}

function startThread<Job, Answer>({
  module,
  besides,
  mayEnd = () => true,
  ...options
}: HelperThreadOptions): RunningThread<Job, Answer> {
  const extension = besides.endsWith('.ts') ? 'ts' : 'js';
  const worker = new Worker(new URL(`${module}.${extension}`, besides), options);
  worker.unref();
  const waiting = new Map<number, { resolve(answer: Answer): void; reject(error: unknown): void }>();
  let lastId = 0;
  let ended = false;
  let idle: NodeJS.Timeout | undefined;

  async function end(): Promise<void> {
    ended = true;
    clearTimeout(idle);
    await worker.terminate();
  }
  const failAll = (error: unknown) => {
    ended = true;
    for (const { reject } of waiting.values()) reject(error);
    waiting.clear();
  };
  worker.on('error', failAll);
  worker.on('exit', () => failAll(new Error(`the thread of ${module} has ended`)));
  worker.on('message', (answered: Answered<Answer>) => {
    const asker = waiting.get(answered.id);
    waiting.delete(answered.id);
    if ('error' in answered) asker?.reject(answered.error);
    else asker?.resolve(answered.answer);
    if (waiting.size > 0) return;
    worker.unref();
    if (mayEnd()) idle = setTimeout(() => void end(), idleMs).unref();
  });

  return {
    hasEnded: () => ended,
    ask(job) {
      clearTimeout(idle);
      lastId += 1;
      const id = lastId;
      worker.ref();
      return new Promise((resolve, reject) => {
        waiting.set(id, { resolve, reject });
        worker.postMessage({ id, job } satisfies Asked<Job>);
      });
    },
    end,
  };
}

/** What the thread's own module calls: does the jobs that the other side asks for. */
export function doJobs<Job, Answer>(work: (job: Job) => Answer | Promise<Answer>): void {
  const answerTo = async ({ id, job }: Asked<Job>): Promise<Answered<Answer>> => {
    try {
      return { id, answer: await work(job) };
    } catch (error) {
      return { id, error: new Error(messageOf(error)) }; // what crosses a thread loses its class, and its code
    }
  };
  parentPort?.on('message', async (asked: Asked<Job>) => parentPort?.postMessage(await answerTo(asked)));
}

/** Where there are fewer cores than threads with something to do, this thread waits for the others. */
export function giveWay(): void {
  try {
    const threadId = Number(readlinkSync('/proc/thread-self').split('/').at(-1));
    setPriority(threadId, lowPriority); // Linux has a priority for each thread
  } catch {
    // forbidden, in a container say: then it has the priority of all
  }
}

/** As nice(1) has it: 0 is what all have, 19 the least. */
const lowPriority = 10;
