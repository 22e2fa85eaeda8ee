import type { Surroundings } from '../command.ts';
import { looksOf } from './output.ts';
import { bar, countText, secondsText } from './text.ts';

export interface Progress extends Disposable {
  advance(count: number): void;
}

const redrawMs = 100;
const barColumns = 24;

/** A line on stderr that redraws itself, on a terminal; nothing elsewhere. `total` may be an estimate. */
export function showProgress(
  { stderr, env }: Surroundings,
  what: string,
  total: number | undefined,
  now = performance.now.bind(performance),
): Progress {
  if (stderr.isTTY !== true) return { advance() {}, [Symbol.dispose]() {} };
  const { paint } = looksOf(stderr, env);
  const began = now();
  let done = 0;
  let drawnAt = Number.NEGATIVE_INFINITY;
  const draw = () => {
    const seconds = (now() - began) / 1000;
    const rate = `${countText(done)} ${what}, ${countText(done / Math.max(seconds, 0.001))}/s`;
    if (total === undefined || total === 0) return stderr.write(`\r\x1b[K${rate}`);
    const share = Math.min(done / total, 0.99); // It is over when the line goes, not before.
    const left = share > 0.01 ? `, ${secondsText((seconds / share) * (1 - share))} left` : '';
    const drawn = bar(share, barColumns).padEnd(barColumns, '·');
    return stderr.write(`\r\x1b[K${paint('cyan', drawn)} ${Math.floor(share * 100)} %  ${rate}${left}`);
  };
  return {
    advance(count) {
      done += count;
      if (now() - drawnAt < redrawMs) return;
      drawnAt = now();
      draw();
    },
    [Symbol.dispose]() {
      stderr.write('\r\x1b[K');
    },
  };
}
