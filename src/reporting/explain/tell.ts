import type { ExplainedState, Explanation } from '../../control/protocol.ts';
import type { StoredBefore } from '../../journal/path-history.ts';
import type { RelativePath } from '../../model.ts';
import { textOf } from '../../service/path-bytes.ts';

/** What is known of a file, by name; those that are undefined are not told. */
export type Facts = Readonly<Record<string, string | number | undefined>>;

export function tell(
  path: RelativePath,
  state: ExplainedState,
  facts: Facts,
  ...notes: readonly (string | undefined)[]
): Explanation {
  const known = Object.entries(facts).filter((fact): fact is [string, string | number] => fact[1] !== undefined);
  return {
    path: textOf(path),
    state,
    facts: Object.fromEntries(known),
    notes: notes.filter((note) => note !== undefined),
  };
}

export const objectFacts = ({ bucket, key, sha256 }: StoredBefore): Facts => ({
  object: `s3://${bucket}/${key}`,
  sha256,
});

export const nothingWasSent = 'The same content was stored for this path before: nothing was sent.';
