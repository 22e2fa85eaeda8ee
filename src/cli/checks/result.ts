import { DropledgerError, exitCode } from '../../service/errors.ts';
import { describeError } from '../../service/log-error.ts';

/** One line of `dropledger check`. */
export interface CheckResult {
  readonly name: string;
  readonly ok: boolean;
  /** What was found. */
  readonly detail: string;
  /** What to do, where it is not fine; or good to know, where it is. */
  readonly hint: string | undefined;
  readonly exitCode: number;
}

export const passed = (name: string, detail: string, hint?: string): CheckResult => ({
  name,
  ok: true,
  detail,
  hint,
  exitCode: exitCode.fine,
});

export const failed = (name: string, error: unknown): CheckResult => ({
  name,
  ok: false,
  detail: describeError(error),
  hint: error instanceof DropledgerError ? error.hint : undefined,
  exitCode: error instanceof DropledgerError ? error.exitCode : exitCode.failed,
});

/** Runs one check: what it returns is the detail of a pass, what it throws is the failure. */
export async function checkThat(name: string, look: () => Promise<string | CheckResult>): Promise<CheckResult> {
  try {
    const found = await look();
    return typeof found === 'string' ? passed(name, found) : found;
  } catch (error) {
    return failed(name, error);
  }
}
