import type { StoreOutcome, StoreRequest, UploadNotes } from '../model.ts';
import { ServiceUnavailable } from '../service/errors.ts';
import type { CompleteOutcome } from './complete-upload.ts';

/** An upload that S3 has lost is begun anew, but not for ever. */
const maxRounds = 3;

/** What came of one multipart upload. */
export type Round = StoreOutcome | Extract<CompleteOutcome, { kind: 'begin-anew' }>;

/**
 * Uploads until S3 keeps one. Where an upload vanished after a Complete that was never answered, and the key is then
 * found taken, that Complete took it. `earlierUnanswered`: so did one of an earlier run, perhaps. While that is in doubt, a
 * later upload that is refused is noted as nothing: it does not end the doubt.
 */
export async function inRounds(
  { notes }: Pick<StoreRequest, 'notes'>,
  earlierUnanswered: boolean,
  upload: (notes: UploadNotes) => Promise<Round>,
): Promise<StoreOutcome> {
  const inDoubt: UploadNotes = { ...notes, refused: async () => {} };
  let maybeStored: 'yes' | 'unknown' | 'no' = earlierUnanswered ? 'unknown' : 'no';
  for (let round = 1; round <= maxRounds; round += 1) {
    const outcome = await upload(maybeStored === 'no' ? notes : inDoubt);
    if (outcome.kind === 'key-taken' && maybeStored !== 'no') return { ...outcome, ours: maybeStored };
    if (outcome.kind !== 'begin-anew') return outcome;
    if (outcome.maybeStored !== 'no') maybeStored = outcome.maybeStored;
  }
  throw new ServiceUnavailable('s3', `S3 lost the multipart upload ${maxRounds} times`, {
    answered: true,
    hint: 'Does something abort uploads there, such as a lifecycle rule or another program?',
  });
}
