import { readdirSync, readFileSync } from 'node:fs';

/** What a process has used so far; from `/proc`, so without its help. */
export interface Usage {
  readonly cpuSeconds: number;
  /** The most resident memory it ever had, in MB (10^6 bytes). */
  readonly peakRssMb: number;
  readonly rssMb: number;
}

/** The kernel counts in hundredths of a second on every Linux (USER_HZ). */
const ticksPerSecond = 100;

/** Of the process and all below it; undefined once it has ended. */
export function usageOf(pid: number): Usage | undefined {
  try {
    const status = readFileSync(`/proc/${pid}/status`, 'utf8');
    const megabytes = (name: string) => (Number(new RegExp(`${name}:\\s+(\\d+)`).exec(status)?.[1] ?? 0) * 1024) / 1e6;
    const below = childrenOf(pid).flatMap((child) => usageOf(child) ?? []);
    const sum = (pick: (usage: Usage) => number) => below.reduce((total, usage) => total + pick(usage), 0);
    return {
      cpuSeconds: cpuSecondsOf(pid) + sum(({ cpuSeconds }) => cpuSeconds),
      peakRssMb: megabytes('VmHWM') + sum(({ peakRssMb }) => peakRssMb),
      rssMb: megabytes('VmRSS') + sum(({ rssMb }) => rssMb),
    };
  } catch {
    return undefined;
  }
}

/** Its threads' time, and that of children that have ended (fields 14 to 17 of proc_pid_stat(5)). */
function cpuSecondsOf(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return fields.slice(11, 15).reduce((ticks, field) => ticks + Number(field), 0) / ticksPerSecond;
}

function childrenOf(pid: number): number[] {
  return readdirSync(`/proc/${pid}/task`).flatMap((thread) =>
    readFileSync(`/proc/${pid}/task/${thread}/children`, 'utf8').split(' ').filter(Boolean).map(Number),
  );
}
