import { CredentialsError, codeOf } from '../service/errors.ts';
import type { Credentials } from './credentials.ts';

/** What is refused for want of a right; all else that is refused needs another login. */
const lacksRight = new Set(['AccessDenied', 'KMS.AccessDeniedException']);

/**
 * The same act; where AWS refuses its credentials, the error also says where they came from and, unless a right is
 * missing, how to get new ones there.
 */
export function namingSource<Input extends unknown[], Output>(
  { state }: Pick<Credentials, 'state'>,
  act: (...input: Input) => Promise<Output>,
): (...input: Input) => Promise<Output> {
  return async (...input) => {
    try {
      return await act(...input);
    } catch (error) {
      if (!(error instanceof CredentialsError)) throw error;
      const { description, mending } = await state();
      const hint = lacksRight.has(codeOf(error.cause) ?? '') ? error.hint : mending;
      throw new CredentialsError(`${error.message} (credentials from ${description})`, {
        ...(hint !== undefined && { hint }),
        cause: error.cause,
      });
    }
  };
}
