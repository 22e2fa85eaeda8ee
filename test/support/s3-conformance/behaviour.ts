import { S3ServiceException } from '@aws-sdk/client-s3';
import type { RawAnswer } from '../signed-request.ts';
import type { Probe } from './probe.ts';

/** Something to observe of a server, in plain data, and what S3 shows there. */
export interface Behaviour {
  readonly s3: unknown;
  readonly observe: (probe: Probe) => Promise<unknown>;
}

export type Behaviours = Readonly<Record<string, Behaviour>>;

export interface Outcome {
  readonly status: number;
  /** S3's error code; absent where it went well, or where there is no body to say it. */
  readonly code?: string;
}

/** How a call of the SDK went. */
export async function outcome(call: Promise<{ $metadata: { httpStatusCode?: number | undefined } }>): Promise<Outcome> {
  try {
    const { $metadata } = await call;
    return { status: $metadata.httpStatusCode ?? 0 };
  } catch (error) {
    if (!(error instanceof S3ServiceException)) throw error;
    return { status: error.$metadata.httpStatusCode ?? 0, code: error.name };
  }
}

/** How a raw request went. */
export async function rawOutcome(answer: Promise<RawAnswer>): Promise<Outcome> {
  const { status, code } = await answer;
  return code === undefined ? { status } : { status, code };
}

/** The outcomes of many, by name, one after the other. */
export async function outcomes(
  calls: Readonly<Record<string, () => Promise<Outcome>>>,
): Promise<Record<string, Outcome>> {
  const all: Record<string, Outcome> = {};
  for (const [name, call] of Object.entries(calls)) all[name] = await call();
  return all;
}
