const levels = [...'▁▂▃▄▅▆▇█'];

/** One column a value, the highest as high as can be; what is not nothing is never drawn as nothing. */
export function sparkline(values: readonly number[]): string {
  const most = Math.max(...values);
  return values
    .map((value) => {
      if (!(value > 0)) return levels[0];
      return levels[Math.max(1, Math.round((value / most) * (levels.length - 1)))];
    })
    .join('');
}
