/**
 * Loaded into the daemon before its own code (`NODE_OPTIONS=--import`): notes each durable step that it takes, and kills
 * it as `kill -9` does in front of or behind the one that was asked for. The daemon itself knows nothing of it.
 *
 *   before    the step was not begun
 *   sent      the request has left, its answer may be on its way
 *   after     the step is done, and nothing was made of it yet (for a request: its answer is here)
 */
import fs from 'node:fs';
import module from 'node:module';
import { Socket } from 'node:net';
import { DatabaseSync } from 'node:sqlite';
import { isMainThread } from 'node:worker_threads';

export interface CrashPoint {
  readonly step: string;
  readonly when: 'before' | 'sent' | 'after';
  /** 1 is the first of its kind since the start. */
  readonly nth: number;
}

const pointVariable = 'TEST_DIE_AT';
const notesVariable = 'TEST_STEP_NOTES';

/** The environment of a daemon that notes its steps in a file, a point as JSON a line, and dies at one of them. */
export const watchedSteps = (notes: string, dieAt?: CrashPoint): Readonly<Record<string, string>> => ({
  NODE_OPTIONS: `--import=${import.meta.url}`,
  [notesVariable]: notes,
  ...(dieAt && { [pointVariable]: JSON.stringify(dieAt) }),
});

type Anything = (...args: unknown[]) => unknown;

const notesFile = process.env[notesVariable];
if (isMainThread && notesFile !== undefined) {
  watchSteps(JSON.parse(process.env[pointVariable] ?? 'null') as CrashPoint | null, fs.openSync(notesFile, 'a'));
}

function watchSteps(dieAt: CrashPoint | null, notes: number): void {
  const counts = new Map<string, number>();
  const { writeSync } = fs;
  let begun = false;

  const pass: Pass = (step, when) => {
    begun ||= step === 'journal commit'; // what is done before the journal is there changes nothing
    if (!begun) return;
    const nth = (counts.get(`${step} ${when}`) ?? 0) + 1;
    counts.set(`${step} ${when}`, nth);
    writeSync(notes, `${JSON.stringify({ step, when, nth } satisfies CrashPoint)}\n`);
    if (dieAt?.step === step && dieAt.when === when && dieAt.nth === nth) process.kill(process.pid, 'SIGKILL');
  };

  watchJournal(pass);
  watchFiles(pass);
  watchRequests(pass);
}

type Pass = (step: string, when: CrashPoint['when']) => void;

function watchJournal(pass: Pass): void {
  const { exec } = DatabaseSync.prototype;
  DatabaseSync.prototype.exec = function (sql) {
    if (!sql.includes('COMMIT')) return exec.call(this, sql);
    pass('journal commit', 'before');
    exec.call(this, sql);
    pass('journal commit', 'after');
  };
}

/** Each call of `node:fs` that changes a folder or makes something durable, in all three of its shapes. */
function watchFiles(pass: Pass): void {
  const stepOf: Record<string, (args: readonly unknown[]) => string | undefined> = {
    rename: () => 'rename',
    link: () => 'link',
    unlink: () => 'unlink',
    rmdir: () => 'rmdir',
    mkdir: () => 'mkdir',
    fsync: () => 'fsync',
    fdatasync: () => 'journal sync',
    open: ([, flags]) => (typeof flags === 'number' && (flags & fs.constants.O_CREAT) !== 0 ? 'create' : undefined),
    writeFile: () => 'write reason',
  };
  const replace = (target: object, name: string, wrapped: (original: Anything) => Anything): void => {
    const members = target as Record<string, Anything>;
    const original = members[name];
    if (original !== undefined) members[name] = wrapped(original);
  };
  for (const [name, step] of Object.entries(stepOf)) {
    replace(fs, `${name}Sync`, (original) => (...args) => {
      const what = step(args);
      if (what === undefined) return original(...args);
      pass(what, 'before');
      const result = original(...args);
      pass(what, 'after');
      return result;
    });
    replace(fs, name, (original) => (...args) => {
      const what = step(args);
      if (what === undefined) return original(...args);
      pass(what, 'before');
      const callback = args.pop() as Anything;
      return original(...args, (error: unknown, ...results: unknown[]) => {
        pass(what, 'after');
        callback(error, ...results);
      });
    });
    replace(fs.promises, name, (original) => async (...args) => {
      const what = step(args);
      if (what === undefined) return original(...args);
      pass(what, 'before');
      const result = await original(...args);
      pass(what, 'after');
      return result;
    });
  }
  module.syncBuiltinESMExports();
}

/** Requests to S3 and inserts into the ledger, as they pass through the socket. */
function watchRequests(pass: Pass): void {
  const unanswered = new WeakMap<Socket, string>();
  const { write, push } = Socket.prototype as unknown as Record<'write' | 'push', Anything>;
  Object.assign(Socket.prototype, {
    write(this: Socket, ...args: unknown[]) {
      const step = requestIn(args[0]);
      if (step === undefined) return write.apply(this, args);
      unanswered.set(this, step);
      pass(step, 'before');
      const result = write.apply(this, args);
      setImmediate(() => pass(step, 'sent'));
      return result;
    },
    push(this: Socket, ...args: unknown[]) {
      const step = unanswered.get(this);
      if (step !== undefined && args[0] !== null) {
        unanswered.delete(this);
        pass(step, 'after');
      }
      return push.apply(this, args);
    },
  });
}

function requestIn(chunk: unknown): string | undefined {
  const text = typeof chunk === 'string' ? chunk : Buffer.isBuffer(chunk) ? chunk.toString('latin1', 0, 4096) : '';
  if (text.includes('INSERT INTO dropledger.uploads')) return 'ledger insert';
  const [, method, target = ''] = /^(PUT|POST|DELETE) (\S+) HTTP/.exec(text) ?? [];
  if (method === 'PUT') return target.includes('partNumber=') ? 'UploadPart' : 'PutObject';
  if (method === 'DELETE') return 'AbortMultipartUpload';
  if (method !== 'POST') return undefined;
  if (target.includes('uploads')) return 'CreateMultipartUpload';
  return target.includes('uploadId=') ? 'CompleteMultipartUpload' : undefined;
}
