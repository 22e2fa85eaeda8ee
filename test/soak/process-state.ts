import { readdirSync, readFileSync, statSync } from 'node:fs';

/** What a process holds on to at one moment; from `/proc`, so without its help. */
export interface ProcessState {
  /** Resident memory, in MB (10^6 bytes). */
  readonly rssMb: number;
  /** Open descriptors. */
  readonly descriptors: number;
  readonly inotifyWatches: number;
  readonly threads: number;
}

export function stateOf(pid: number): ProcessState {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8');
  const field = (name: string) => Number(new RegExp(`^${name}:\\s+(\\d+)`, 'm').exec(status)?.[1] ?? 0);
  const descriptors = readdirSync(`/proc/${pid}/fdinfo`);
  return {
    rssMb: (field('VmRSS') * 1024) / 1e6,
    descriptors: descriptors.length,
    inotifyWatches: descriptors.reduce((sum, fd) => sum + watchesOf(pid, fd), 0),
    threads: field('Threads'),
  };
}

/** proc_pid_fdinfo(5): one line a watch. */
function watchesOf(pid: number, fd: string): number {
  try {
    return readFileSync(`/proc/${pid}/fdinfo/${fd}`, 'utf8').match(/^inotify wd:/gm)?.length ?? 0;
  } catch {
    return 0; // it was closed meanwhile
  }
}

/** Bytes of the journal with what SQLite keeps beside it. */
export const journalBytes = (path: string): number =>
  ['', '-wal'].reduce((sum, suffix) => sum + (statSync(path + suffix, { throwIfNoEntry: false })?.size ?? 0), 0);
