import { styleText } from 'node:util';
import { codeOf, DropledgerError, exitCode } from '../../service/errors.ts';
import type { Surroundings } from '../command.ts';

/** How a stream is written to. */
export interface Looks {
  /** Columns of the terminal; undefined where it is none: then nothing is shortened. */
  readonly columns: number | undefined;
  readonly paint: Paint;
}

export type Style = 'bold' | 'dim' | 'red' | 'green' | 'yellow' | 'blue' | 'cyan';
export type Paint = (style: Style, text: string) => string;

export const plain: Looks = { columns: undefined, paint: (_style, text) => text };

export function looksOf(stream: NodeJS.WriteStream, env: Surroundings['env']): Looks {
  if (stream.isTTY !== true) return plain;
  const colours = !env['NO_COLOR'] && env['TERM'] !== 'dumb';
  return { columns: stream.columns, paint: colours ? paintAlways : plain.paint };
}

const paintAlways: Paint = (style, text) => (text === '' ? '' : styleText(style, text, { validateStream: false }));

/** Whoever read our output has gone, such as `head` after its last line. */
class OutputClosed extends DropledgerError {
  override readonly exitCode = exitCode.fine;
}

export type Write = (text: string) => Promise<void>;

/** Gives `work` a function that writes to stdout and waits until it is taken. A reader that goes away is no failure. */
export async function writing(around: Surroundings, work: (write: Write) => Promise<number>): Promise<number> {
  const { stdout } = around;
  const ignore = () => {}; // The write itself is told.
  stdout.on('error', ignore);
  const write = (text: string) =>
    new Promise<void>((resolve, reject) => {
      stdout.write(text, (error) => {
        if (!error) resolve();
        else reject(codeOf(error) === 'EPIPE' ? new OutputClosed('nobody reads the output') : error);
      });
    });
  try {
    return await work(write);
  } catch (error) {
    if (error instanceof OutputClosed) return exitCode.fine;
    throw error;
  } finally {
    stdout.off('error', ignore);
  }
}
