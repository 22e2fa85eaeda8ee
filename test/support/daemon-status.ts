import { expect } from 'vitest';
import type { DaemonReport } from '../../src/control/protocol.ts';
import { runProgram } from './daemon-program.ts';
import type { Workplace } from './daemon-workplace.ts';

/** What `dropledger status` tells of the daemon that runs there. */
export async function statusOf({ configFile, env }: Workplace): Promise<DaemonReport> {
  const { code, stdout, stderr } = await runProgram(['status', '--json', '--config', configFile], env);
  expect(stderr).toBe('');
  expect(code).toBe(0);
  return JSON.parse(stdout);
}
