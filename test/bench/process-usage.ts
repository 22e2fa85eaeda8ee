import { readFileSync } from 'node:fs';

/** What a process has used so far; from `/proc`, so without its help. */
export interface Usage {
  /** Its threads' time, in the kernel's too. */
  readonly cpuSeconds: number;
  /** The most resident memory it ever had, in MB (10^6 bytes). */
  readonly peakRssMb: number;
  readonly rssMb: number;
}

/** The kernel counts in hundredths of a second on every Linux (USER_HZ). */
const ticksPerSecond = 100;

/** Undefined once the process has ended. */
export function usageOf(pid: number): Usage | undefined {
  try {
    const status = readFileSync(`/proc/${pid}/status`, 'utf8');
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    // proc_pid_stat(5): the name in brackets may hold anything; utime and stime are the 12th and 13th behind it
    const [utime, stime] = stat
      .slice(stat.lastIndexOf(')') + 2)
      .split(' ')
      .slice(11, 13);
    const megabytes = (name: string) => (Number(new RegExp(`${name}:\\s+(\\d+)`).exec(status)?.[1] ?? 0) * 1024) / 1e6;
    return {
      cpuSeconds: (Number(utime) + Number(stime)) / ticksPerSecond,
      peakRssMb: megabytes('VmHWM'),
      rssMb: megabytes('VmRSS'),
    };
  } catch {
    return undefined;
  }
}
