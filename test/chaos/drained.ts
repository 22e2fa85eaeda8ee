import { setTimeout as sleep } from 'node:timers/promises';
import { ask } from '../../src/control/client.ts';
import type { DaemonReport } from '../../src/control/protocol.ts';
import { textOf } from '../../src/service/path-bytes.ts';
import { filesIn } from '../support/daemon-files.ts';
import type { KnownFiles } from './known-files.ts';
import type { Stage } from './stage.ts';

/** Back-off waits for a minute at most, a stalled request for as long; some come one after the other. */
const mostMs = 240_000;
/** The daemon is asked once a second, and must say so often in a row that nothing waits. */
const quietRounds = 5;

/** Waits until nothing waits any more; undefined then. Where that takes too long, what is still waiting, and for what. */
export async function untilDrained(
  { place }: Stage,
  known: KnownFiles,
  signal: AbortSignal,
): Promise<string | undefined> {
  const began = Date.now();
  const keeps = place.config.dropFolder?.afterUpload === 'keep';
  const socket = String(place.config.control?.socket);
  const waiting = async (): Promise<readonly string[]> => {
    const report = await reportOf(socket, signal);
    if (typeof report === 'string') return [report];
    const left = keeps ? [] : (await filesIn(place.inbox)).filter((path) => !known.ignored.has(path)).map(textOf);
    return [...left, ...waitingIn(report, began)];
  };
  let last: readonly string[] = [];
  for (let quiet = 0; Date.now() - began < mostMs; ) {
    last = await waiting();
    quiet = last.length === 0 ? quiet + 1 : 0;
    if (quiet >= quietRounds) return undefined;
    await sleep(1000, undefined, { signal });
  }
  return `after ${mostMs / 1000} s there still waits: ${last.slice(0, 20).join('; ')}`;
}

/** Why it cannot be asked, where it cannot. */
async function reportOf(socket: string, signal: AbortSignal): Promise<DaemonReport | string> {
  try {
    for await (const answer of ask(socket, { command: 'status' }, signal)) if ('status' in answer) return answer.status;
    return 'the daemon says nothing';
  } catch (error) {
    signal.throwIfAborted();
    return `the daemon cannot be asked: ${error instanceof Error ? error.message : error}`;
  }
}

/** A rescan that began after the last act must have ended: before it there may be files that nobody knows of. */
function waitingIn({ queue, uploads, ledger, rescan }: DaemonReport, since: number): string[] {
  const { settling, queued, uploading, stored, recorded } = queue;
  const waiting = Object.entries({ settling, queued, uploading, stored, recorded }).filter(([, files]) => files > 0);
  const isLookedThrough = rescan !== null && Date.parse(rescan.at) - rescan.ms > since;
  return [
    ...waiting.map(([state, files]) => `${files} files are ${state}`),
    ...(uploads.paused === null ? [] : [`uploads are paused: ${uploads.paused.reason}`]),
    ...(ledger.rowsWaiting === 0 ? [] : [`${ledger.rowsWaiting} rows, the ledger being ${ledger.up ? 'up' : 'down'}`]),
    ...(isLookedThrough ? [] : ['a rescan']),
  ];
}
