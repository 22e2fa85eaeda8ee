import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { OpenOutcome } from '../../src/drop-folder/open-file.ts';
import type { QueuedFile } from '../../src/journal/files.ts';
import type { Journal } from '../../src/journal/journal.ts';
import type { LedgerRow, OpenFile, StoredObject, StoreOutcome, StoreRequest } from '../../src/model.ts';
import { conflictKey, conflictKeyById } from '../../src/s3/object-key.ts';
import { ConfigError, CredentialsError, FileRejected, ServiceUnavailable } from '../../src/service/errors.ts';
import { pathFromText, textOf } from '../../src/service/path-bytes.ts';
import { createTransfer, type TransferSteps } from '../../src/transfer.ts';
import { recordingLog } from '../support/recording-log.ts';
import {
  identityOf,
  openTestJournal,
  queued,
  recordAll,
  settledFile,
  sha256Of,
  storedOutcome,
  type TestJournal,
  testBucket,
} from '../support/test-journal.ts';

let parts: TestJournal;
let journal: Journal;
beforeEach(async () => {
  parts = await openTestJournal();
  journal = parts.journal();
});
afterEach(() => parts[Symbol.asyncDispose]());

const path = 'report.pdf';
const content = 'the bytes of the file';
const sha256 = sha256Of(content);

type Answer = StoreOutcome | Error | ((request: StoreRequest) => Promise<StoreOutcome>);

const storedAs = (request: StoreRequest): StoredObject => ({
  bucket: testBucket,
  key: request.key,
  sha256,
  etag: '"etag"',
  versionId: null,
  requestId: 'request',
  checksumType: 'CRC32',
  checksum: 'AAAAAA==',
  partCount: 1,
});
const taken = (ours: 'yes' | 'no' | 'unknown'): StoreOutcome => ({ kind: 'key-taken', ours, sha256, partCount: 1 });

/** A transfer with the real journal, and an engine whose answers the test gives; after them it stores. */
function openTransfer({ answers = [], ...options }: Partial<TransferSteps> & { answers?: Answer[] } = {}) {
  const log = recordingLog();
  const requests: StoreRequest[] = [];
  const reported: Error[] = [];
  const offered: string[] = [];
  let hashed = 0;
  let closed = 0;
  let rowsWait = 0;
  const opened = (file: QueuedFile): OpenFile => ({
    path: file.path,
    identity: file.identity,
    owner: 'alice',
    unchanged: async () => true,
    read: () => 0,
    async close() {
      closed += 1;
    },
  });
  const steps: TransferSteps = {
    origin: {
      host: 'scanner',
      instance: 'default',
      bucket: testBucket,
      daemonVersion: '1.2.3',
      principal: () => 'arn',
    },
    onConflict: 'keep-both',
    sharedPrefix: false,
    conditionalWrites: true,
    journal,
    gate: {
      report(error) {
        reported.push(error);
        return !(error instanceof ServiceUnavailable);
      },
      succeeded: () => {},
      isClosed: () => false,
    },
    log,
    open: async (file): Promise<OpenOutcome> => ({ kind: 'open', file: opened(file) }),
    async hash() {
      hashed += 1;
      return sha256;
    },
    objectKey: (of) => ({ key: `in/${textOf(of)}` }),
    conflictKey,
    conflictKeyById,
    contentType: () => 'application/pdf',
    metadata: { team: 'scans' },
    async store(request) {
      requests.push(request);
      const answer = answers.shift();
      if (answer instanceof Error) throw answer;
      if (typeof answer === 'function') return answer(request);
      return answer ?? { kind: 'stored', object: storedAs(request) };
    },
    settleAnew: (of) => void offered.push(of),
    folderIsThere: async () => true,
    rowWaits() {
      rowsWait += 1;
    },
    onProgress: () => {},
    onRetry: () => {},
    retryDelayMs: (attempt) => attempt * 1000,
    ...options,
  };
  const transfer = createTransfer(steps);
  return {
    log,
    requests,
    reported,
    offered,
    hashed: () => hashed,
    closed: () => closed,
    rowsWait: () => rowsWait,
    keys: () => requests.map(({ key }) => key),
    run: (file: QueuedFile, signal = new AbortController().signal) => transfer(file, signal),
  };
}

/** A file at rest, in the queue. */
async function inQueue(options: Parameters<typeof identityOf>[0] = {}, at = path): Promise<QueuedFile> {
  await journal.files.settled([settledFile(at, identityOf(options))]);
  return queued(journal, at);
}
const rows = (): LedgerRow[] => journal.outbox.store.next(100).map(({ json }) => JSON.parse(json) as LedgerRow);
const state = () => journal.files.known(pathFromText(path))?.state;

/** An object of ours from an earlier day. */
async function storedBefore(options: { content?: string; key?: string; bucket?: string }, at = path): Promise<void> {
  await journal.files.settled([settledFile(at)]);
  const file = queued(journal, at);
  await journal.outbox.enqueue(storedOutcome(file, { content, ...options }), new Date());
  await recordAll(journal);
  await journal.files.disposed([{ fileId: file.fileId, rests: undefined }]);
}

test('a new file is stored, and its row waits for the ledger with all that is known of it', async () => {
  const { run, requests, log, hashed, closed, rowsWait } = openTransfer();
  const file = await inQueue();
  expect(await run(file)).toBeUndefined();
  expect(requests).toMatchObject([{ key: 'in/report.pdf', onlyIfAbsent: true, earlierUnanswered: false }]);
  expect(requests[0]?.metadata).toEqual({ team: 'scans', 'dropledger-file-id': file.fileId });
  expect(rows()).toMatchObject([
    {
      file_id: file.fileId,
      status: 'uploaded',
      path,
      sha256,
      object_key: 'in/report.pdf',
      etag: '"etag"',
      file_owner: 'alice',
      principal: 'arn',
      attempts: 1,
      seq: 1,
    },
  ]);
  expect(state()).toBe('stored');
  expect(log.named('uploaded')[0]?.fields).toMatchObject({ path, bytes: 100, key: 'in/report.pdf', id: rows()[0]?.id });
  expect([hashed(), closed(), rowsWait()]).toEqual([0, 1, 1]);
});

describe('the key is taken', () => {
  const mark = sha256.slice(0, 8);
  const cases: [string, Partial<TransferSteps>, Answer[], unknown][] = [
    ['keep-both: not ours → beside it', {}, [taken('no')], ['in/report.pdf', `in/report~${mark}.pdf`]],
    ['keep-both: ours, proved → stored', {}, [taken('yes')], ['in/report.pdf']],
    ['keep-both: perhaps ours, nobody else writes here → stored', {}, [taken('unknown')], ['in/report.pdf']],
    [
      'keep-both: perhaps ours, others write here → beside it',
      { sharedPrefix: true },
      [taken('unknown')],
      ['in/report.pdf', `in/report~${mark}.pdf`],
    ],
    ['keep-both: ours, proved, others write here → stored', { sharedPrefix: true }, [taken('yes')], ['in/report.pdf']],
    [
      'keep-both: that one taken too → by the row id',
      {},
      [taken('no'), taken('no')],
      ['in/report.pdf', `in/report~${mark}.pdf`, expect.stringMatching(/^in\/report~[0-9a-f-]{36}\.pdf$/)],
    ],
    ['fail: not ours → rejected', { onConflict: 'fail' }, [taken('no')], 'rejected'],
    [
      'fail: perhaps ours, others write here → rejected',
      { onConflict: 'fail', sharedPrefix: true },
      [taken('unknown')],
      'rejected',
    ],
    [
      'fail: perhaps ours, nobody else writes here → stored',
      { onConflict: 'fail' },
      [taken('unknown')],
      ['in/report.pdf'],
    ],
    ['keep-both: all three taken → rejected', {}, [taken('no'), taken('no'), taken('no')], 'rejected'],
  ];
  test.each(cases)('%s', async (_name, options, answers, expected) => {
    const { run, keys } = openTransfer({ ...options, answers });
    await run(await inQueue());
    if (expected === 'rejected') {
      expect(rows()).toMatchObject([{ status: 'failed', error: expect.stringContaining('exists in the bucket') }]);
    } else {
      expect(keys()).toEqual(expected);
      expect(rows()).toMatchObject([{ status: 'uploaded', object_key: keys().at(-1), sha256 }]);
    }
  });

  test('overwrite asks for no condition', async () => {
    const { run, requests } = openTransfer({ onConflict: 'overwrite' });
    await run(await inQueue());
    expect(requests[0]?.onlyIfAbsent).toBe(false);
  });

  test('an object of ours whose answer was lost has a row that does not know what the answer said', async () => {
    const { run } = openTransfer({ answers: [taken('yes')] });
    await run(await inQueue());
    expect(rows()).toMatchObject([
      { etag: null, version_id: null, s3_request_id: null, checksum: null, part_count: 1 },
    ]);
  });

  test('the ledger id of a key that is made of it is that of the row, also after a restart in between', async () => {
    const down = new ServiceUnavailable('s3', 'no answer');
    const first = openTransfer({ answers: [taken('no'), taken('no'), down] });
    await first.run(await inQueue());
    journal = await parts.reopen();
    const second = openTransfer({ answers: [taken('no'), taken('no')] });
    await second.run(queued(journal, path));
    expect(second.keys()[2]).toBe(first.keys()[2]);
    expect(second.keys()[2]).toContain(rows()[0]?.id);
  });

  test('a key that this journal knows to be taken is not even tried', async () => {
    await storedBefore({ content: 'other bytes', key: 'in/report.pdf' });
    const { run, keys, hashed } = openTransfer();
    await run(await inQueue({ content: 2 }));
    expect(keys()).toEqual([`in/report~${mark}.pdf`]);
    expect(hashed()).toBe(1);
  });

  test('a key of another bucket is not taken here', async () => {
    await storedBefore({ content: 'other bytes', key: 'in/report.pdf', bucket: 'the-old-bucket' });
    const { run, keys } = openTransfer();
    await run(await inQueue({ content: 2 }));
    expect(keys()).toEqual(['in/report.pdf']);
  });
});

describe('an earlier attempt was never answered', () => {
  const unanswered = async (of = sha256, key = 'in/report.pdf') => {
    const file = await inQueue();
    await journal.files.attempt(file.fileId, key, 'row-1');
    await journal.files.unanswered(file.fileId, of);
    return queued(journal, path);
  };

  test('the same bytes: under the same key, and the engine is told', async () => {
    const { run, requests, log } = openTransfer();
    await run(await unanswered(sha256, 'in/report~earlier.pdf'));
    expect(log.named('warning')).toEqual([]);
    expect(requests).toMatchObject([{ key: 'in/report~earlier.pdf', earlierUnanswered: true }]);
  });

  test('other bytes by now: what lies there is not these', async () => {
    const { run, requests } = openTransfer();
    await run(await unanswered(sha256Of('older bytes')));
    expect(requests.map(({ earlierUnanswered }) => earlierUnanswered)).toEqual([false]);
    expect(rows()[0]?.object_key).toBe(`in/report~${sha256.slice(0, 8)}.pdf`);
  });

  test.each<[string, Partial<TransferSteps>]>([
    ['other bytes are there by now', {}],
    ['the file is gone', { open: async () => ({ kind: 'vanished' }) }],
  ])('%s: it is said that an object without a row may be there', async (_what, options) => {
    const { run, log } = openTransfer(options);
    const older = sha256Of('older bytes');
    await run(await unanswered(older));
    expect(log.named('warning')).toMatchObject([{ fields: { path, key: 'in/report.pdf', sha256: older } }]);
  });

  test.each(['in the same place', 'after the first was taken away'])(
    'then other bytes, %s, whose answer is lost too: what has the key is not taken for them',
    async (how) => {
      const older = await unanswered(sha256Of('older bytes'));
      if (how === 'after the first was taken away') {
        await openTransfer({ open: async () => ({ kind: 'vanished' }) }).run(older);
        await inQueue();
      }
      const { run, requests } = openTransfer({ answers: [taken('unknown')] });
      await run(queued(journal, path));
      expect(requests.map(({ key }) => key)).toEqual([`in/report~${sha256.slice(0, 8)}.pdf`]);
      expect(rows().map(({ object_key }) => object_key)).toEqual([`in/report~${sha256.slice(0, 8)}.pdf`]);
    },
  );

  test('then other bytes, where a conflict is to fail: what has the key is not taken for them', async () => {
    const { run, requests } = openTransfer({ onConflict: 'fail', answers: [taken('unknown')] });
    await run(await unanswered(sha256Of('older bytes')));
    expect(requests.map(({ key }) => key)).toEqual(['in/report.pdf']);
    expect(rows()).toMatchObject([{ status: 'failed', error: expect.stringContaining('exists in the bucket') }]);
  });

  test('the file is taken away and comes again: what has the key is its object', async () => {
    await openTransfer({ open: async () => ({ kind: 'vanished' }) }).run(await unanswered());
    const { run, requests } = openTransfer({ answers: [taken('unknown')] });
    await run(await inQueue());
    expect(requests).toMatchObject([{ key: 'in/report.pdf', earlierUnanswered: true }]);
    expect(rows()).toMatchObject([{ object_key: 'in/report.pdf', status: 'uploaded' }]);
  });

  describe('by a journal that took the place of one that was lost', () => {
    beforeEach(async () => {
      await parts[Symbol.asyncDispose]();
      parts = await openTestJournal({ tookFilesBefore: true });
      journal = parts.journal();
    });
    const beside = `in/report~${sha256.slice(0, 8)}.pdf`;

    test('what has the key may be an earlier version: it is not taken for these bytes', async () => {
      const { run, keys } = openTransfer({ answers: [taken('unknown')] });
      await run(await inQueue());
      expect(keys()).toEqual(['in/report.pdf', beside]);
      expect(rows()).toMatchObject([{ status: 'uploaded', object_key: beside }]);
    });

    test('a key that is made of these bytes can hold nothing else', async () => {
      const { run, keys } = openTransfer({ answers: [taken('no'), taken('unknown')] });
      await run(await inQueue());
      expect(keys()).toEqual(['in/report.pdf', beside]);
      expect(rows()).toMatchObject([{ status: 'uploaded', object_key: beside }]);
    });
  });

  test('the engine announces a put before it sends it, and the journal remembers', async () => {
    const storing: Answer = async ({ notes }) => {
      await notes.storing(sha256);
      throw new ServiceUnavailable('s3', 'connection reset');
    };
    await openTransfer({ answers: [storing] }).run(await inQueue());
    expect(queued(await parts.reopen(), path)).toMatchObject({
      unansweredSha256: sha256,
      key: 'in/report.pdf',
      attempts: 1,
    });
  });

  test('a put that S3 refused is forgotten', async () => {
    const refused: Answer = async ({ notes }) => {
      await notes.storing(sha256);
      await notes.refused();
      throw new ServiceUnavailable('s3', 'SlowDown', { answered: true });
    };
    await openTransfer({ answers: [refused] }).run(await inQueue());
    expect(queued(journal, path).unansweredSha256).toBeUndefined();
  });
});

test('a multipart upload goes on where it was, and is forgotten once it is the object', async () => {
  const began: Answer = async ({ notes, key }) => {
    await notes.multipartStarted({ uploadId: 'upload-1', key, partSizeBytes: 5, createdAt: new Date(0) });
    await notes.partStored('upload-1', { number: 1, etag: '"1"', crc32: 7, size: 5 });
    throw new ServiceUnavailable('s3', 'connection reset');
  };
  await openTransfer({ answers: [began] }).run(await inQueue());
  journal = await parts.reopen();
  const { run, requests } = openTransfer();
  await run(queued(journal, path));
  expect(requests[0]?.resume).toMatchObject({ uploadId: 'upload-1', parts: [{ number: 1, size: 5 }] });
  expect(journal.multipart.orphans()).toEqual([]);
});

describe('the same content was stored for this path before', () => {
  test('it is a duplicate, and nothing is sent', async () => {
    await storedBefore({ key: 'in/report.pdf' });
    const { run, requests, log } = openTransfer();
    await run(await inQueue({ content: 2 }));
    expect(requests).toEqual([]);
    expect(rows()).toMatchObject([
      { status: 'duplicate', sha256, object_key: 'in/report.pdf', duplicate_of: expect.any(String) },
    ]);
    expect(log.named('duplicate')).toHaveLength(1);
    expect(state()).toBe('stored'); // it is disposed of like any other
  });

  test.each([
    ['keep-both', 'duplicate'],
    ['overwrite', 'uploaded'],
  ] as const)('under %s an older content than the latest is %s', async (onConflict, status) => {
    await storedBefore({ key: 'in/report.pdf' });
    await storedBefore({ content: 'a later content', key: 'in/report~2.pdf' });
    await openTransfer({ onConflict }).run(await inQueue({ content: 2 }));
    expect(rows()).toMatchObject([{ status }]);
  });

  test('what is in another bucket does not count', async () => {
    await storedBefore({ key: 'in/report.pdf', bucket: 'the-old-bucket' });
    await openTransfer().run(await inQueue({ content: 2 }));
    expect(rows()).toMatchObject([{ status: 'uploaded' }]);
  });

  test('another path with the same content is another file', async () => {
    await storedBefore({ key: 'in/other.pdf' }, 'other.pdf');
    await openTransfer().run(await inQueue());
    expect(rows()).toMatchObject([{ status: 'uploaded' }]);
  });
});

describe('a kept file was touched', () => {
  const touched = async () => {
    await journal.files.settled([settledFile(path)]);
    const file = queued(journal, path);
    await journal.outbox.enqueue(storedOutcome(file, { content, key: 'in/report.pdf' }), new Date());
    await recordAll(journal);
    await journal.files.disposed([{ fileId: file.fileId, rests: 'kept' }]);
    return inQueue({ touched: 1 });
  };

  test('the same bytes: it rests again, without another row', async () => {
    const { run, requests } = openTransfer();
    await run(await touched());
    expect(requests).toEqual([]);
    expect(rows()).toEqual([]);
    expect(state()).toBe('kept');
  });

  test('other bytes: it is another file, and its pass comes next', async () => {
    const { run } = openTransfer({ hash: async () => sha256Of('other bytes') });
    const file = await touched();
    expect(await run(file)).toBeLessThanOrEqual(Date.now());
    const renewed = queued(journal, path);
    expect(renewed.fileId).not.toBe(file.fileId);
    await run(renewed);
    expect(rows()).toMatchObject([{ status: 'uploaded', file_id: renewed.fileId }]);
  });
});

describe('the file is not what it was', () => {
  const cases: [string, Partial<TransferSteps> & { answers?: Answer[] }][] = [
    ['before it is opened', { open: async () => ({ kind: 'changed' }) }],
    ['while it is sent', { answers: [{ kind: 'changed' }] }],
  ];
  test.each(cases)('it changed %s: it must come to rest anew', async (_when, options) => {
    const { run, offered } = openTransfer(options);
    expect(await run(await inQueue())).toBeUndefined();
    expect(state()).toBe('settling');
    expect(offered).toEqual([path]);
    expect(rows()).toEqual([]);
  });

  test('it shrank while it was hashed', async () => {
    await storedBefore({ key: 'in/report.pdf' });
    const { run, requests } = openTransfer({ hash: async () => undefined });
    await run(await inQueue({ content: 2 }));
    expect(requests).toEqual([]);
    expect(state()).toBe('settling');
  });

  test('it vanished: it is forgotten, and that is said', async () => {
    const { run, log } = openTransfer({ open: async () => ({ kind: 'vanished' }) });
    expect(await run(await inQueue())).toBeUndefined();
    expect(state()).toBeUndefined();
    expect(log.named('gone')).toMatchObject([{ fields: { path } }]);
  });

  test('the whole drop folder is not there: nothing is forgotten', async () => {
    const { run } = openTransfer({ open: async () => ({ kind: 'vanished' }), folderIsThere: async () => false });
    expect(await run(await inQueue())).toBeGreaterThan(Date.now());
    expect(state()).toBe('queued');
  });

  test('it was replaced during its upload, and came to rest: the new one waits for its own pass', async () => {
    const replaced: Answer = async (request) => {
      await journal.files.settled([settledFile(path, identityOf({ content: 2 }))]);
      return { kind: 'stored', object: storedAs(request) };
    };
    const file = await inQueue();
    await openTransfer({ answers: [replaced] }).run(file);
    expect(rows()).toMatchObject([{ file_id: file.fileId, status: 'uploaded' }]);
    await recordAll(journal);
    expect(state()).toBe('queued');
    expect(queued(journal, path).fileId).not.toBe(file.fileId);
  });
});

describe('an error', () => {
  test('the file is unreadable: it waits, with one warning that says what to do', async () => {
    const { run, log } = openTransfer({ open: async () => ({ kind: 'unreadable', reason: 'EACCES' }) });
    expect(await run(await inQueue())).toBeGreaterThan(Date.now() + 500);
    await run(queued(journal, path));
    expect(queued(journal, path)).toMatchObject({ attempts: 2, lastError: 'EACCES' });
    expect(log.named('retrying')).toMatchObject([
      { level: 'warning', fields: { hint: expect.stringContaining('chmod g+r') } },
    ]);
  });

  test('S3 is not available: it is reported, and tried again later', async () => {
    const { run, reported } = openTransfer({ answers: [new ServiceUnavailable('s3', 'no answer')] });
    expect(await run(await inQueue())).toBeGreaterThan(Date.now() + 500);
    expect(reported).toHaveLength(1);
    expect(queued(journal, path)).toMatchObject({ attempts: 1, lastError: 'no answer' });
  });

  test.each([new CredentialsError('ExpiredToken'), new ConfigError('NoSuchBucket')])(
    '$name: the file is not to blame: it is the next when uploads go on',
    async (error) => {
      const { run, reported, log } = openTransfer({ answers: [error] });
      expect(await run(await inQueue())).toBeLessThanOrEqual(Date.now());
      expect(reported).toEqual([error]);
      expect(queued(journal, path)).toMatchObject({ attempts: 0 });
      expect(log.named('retrying')).toEqual([]);
    },
  );

  test('a refusal that concerns this file alone is tried again later', async () => {
    const gate = { report: () => false, succeeded: () => {}, isClosed: () => false };
    const { run, log } = openTransfer({ answers: [new CredentialsError('AccessDenied', { hint: 'Grant it.' })], gate });
    expect(await run(await inQueue())).toBeGreaterThan(Date.now() + 500);
    expect(log.named('retrying')).toMatchObject([{ fields: { error: 'AccessDenied', hint: 'Grant it.' } }]);
  });

  test('while uploads are paused no file is named', async () => {
    const gate = { report: () => true, succeeded: () => {}, isClosed: () => true };
    const { run, log } = openTransfer({ answers: [new ServiceUnavailable('s3', 'no answer')], gate });
    await run(await inQueue());
    expect(log.named('retrying')).toEqual([]);
  });

  test.each([
    ['by its name', { objectKey: () => ({ rejected: 'the key is too long', hint: 'Shorten it.' }) }],
    ['by S3', { answers: [new FileRejected('the key is too long', { hint: 'Shorten it.' })] }],
  ])('a file that can never be uploaded (%s) is recorded as failed, and goes to quarantine', async (_by, options) => {
    const { run, closed } = openTransfer(options);
    expect(await run(await inQueue())).toBeUndefined();
    expect(rows()).toMatchObject([{ status: 'failed', error: 'the key is too long', object_key: null, sha256: null }]);
    await recordAll(journal);
    const [due] = journal.files.recordedAfter(0, 10);
    expect(due?.file.disposition).toMatchObject({
      kind: 'quarantine',
      reason: 'the key is too long',
      hint: 'Shorten it.',
    });
    expect(closed()).toBe(1);
  });

  test('anything else is tried again with its message', async () => {
    const { run, closed } = openTransfer({ answers: [new Error('EIO: i/o error, read')] });
    expect(await run(await inQueue())).toBeGreaterThan(Date.now());
    expect(queued(journal, path).lastError).toBe('EIO: i/o error, read');
    expect(closed()).toBe(1);
  });

  test('given up at the end: it waits in the queue as it was', async () => {
    const stop = new AbortController();
    const { run, log } = openTransfer({
      async store() {
        stop.abort(new Error('the grace time is over'));
        throw stop.signal.reason;
      },
    });
    expect(await run(await inQueue(), stop.signal)).toBeUndefined();
    expect(queued(journal, path)).toMatchObject({ attempts: 0 });
    expect(log.events.filter(({ level }) => level !== 'debug')).toEqual([]);
  });

  test('the row cannot be written after the object was stored: the next try finds the object', async () => {
    const outbox = { ...journal.outbox, enqueue: () => Promise.reject(new Error('database or disk is full')) };
    const stores: Answer = async (request) => {
      await request.notes.storing(sha256);
      return { kind: 'stored', object: storedAs(request) };
    };
    await openTransfer({ journal: { ...journal, outbox }, answers: [stores] }).run(await inQueue());
    const second = openTransfer({ answers: [taken('unknown')] });
    await second.run(queued(journal, path));
    expect(second.requests).toMatchObject([{ key: 'in/report.pdf', earlierUnanswered: true }]);
    expect(rows()).toMatchObject([{ status: 'uploaded', object_key: 'in/report.pdf' }]);
  });
});
