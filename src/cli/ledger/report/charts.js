/* Runs in the browser, inside the report: draws the charts, and draws them anew when width, colours or paper change. */
/* global uPlot */
(() => {
  const { days, charts } = JSON.parse(document.getElementById('data').textContent);
  const drawn = new Map();
  const printWidth = 680;
  const height = 240;
  const halfDay = 43_200;
  /** 1, 2, 5, 10… of each unit. */
  const binarySteps = [0, 1, 2, 3, 4, 5].flatMap((unit) =>
    [1, 2, 5, 10, 20, 50, 100, 200, 500].map((n) => n * 1024 ** unit),
  );

  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();

  const scaled = (value, units, base) => {
    let unit = 0;
    let rest = value;
    while (Math.abs(rest) >= base && unit < units.length - 1) {
      rest /= base;
      unit += 1;
    }
    return `${Number.isInteger(rest) ? rest : rest.toFixed(1)} ${units[unit]}`.trim();
  };
  const texts = {
    count: (value) => (value < 10_000 ? String(value) : scaled(value, ['', 'k', 'M', 'G'], 1000)),
    bytes: (value) => scaled(value, ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB'], 1024),
    seconds: (value) =>
      value < 120
        ? `${Number(value.toFixed(2))} s`
        : value < 7200
          ? `${Number((value / 60).toFixed(1))} min`
          : `${Number((value / 3600).toFixed(1))} h`,
  };
  const known = (text) => (value) => (value === null || value === undefined ? '–' : text(value));

  const axis = (more) => ({
    stroke: colour('quiet'),
    grid: { stroke: colour('line'), width: 1 },
    ticks: { stroke: colour('line'), width: 1 },
    font: '12px system-ui, sans-serif',
    ...more,
  });

  function optionsOf({ unit, series }, width) {
    const text = known(texts[unit]);
    return {
      width,
      height,
      tzDate: (seconds) => uPlot.tzDate(new Date(seconds * 1000), 'Etc/UTC'),
      cursor: { drag: { x: false, y: false } },
      scales: {
        x: { range: (_chart, first, last) => [first - halfDay, last + halfDay] },
        y: { range: (_chart, _least, most) => [0, most > 0 ? most * 1.05 : 1] },
      },
      axes: [
        axis({ incrs: [1, 2, 7, 14, 28, 91, 365].map((days) => days * 2 * halfDay), values: '{MM}-{DD}' }),
        axis({
          size: 74,
          values: (_chart, values) => values.map(text),
          ...(unit === 'bytes' && { incrs: binarySteps }),
        }),
      ],
      series: [
        { label: 'day', value: '{YYYY}-{MM}-{DD}' },
        ...series.map(({ label, paint }) => ({
          label,
          stroke: colour(paint),
          fill: colour(paint),
          width: 0,
          points: { show: false },
          paths: uPlot.paths.bars({ size: [0.8, 48] }),
          value: (_chart, value) => text(value),
        })),
      ],
    };
  }

  function draw(place, width) {
    const chart = charts[place.dataset.chart];
    drawn.get(place)?.destroy();
    const plot = new uPlot(optionsOf(chart, width), [days, ...chart.series.map(({ values }) => values)], place);
    plot.root.setAttribute('aria-hidden', 'true'); // The place says it all, and a table holds the figures.
    drawn.set(place, plot);
  }

  const places = [...document.querySelectorAll('[data-chart]')];
  const widthOf = (place) => Math.floor(place.clientWidth);
  const drawAll = (width) => {
    for (const place of places) draw(place, width ?? widthOf(place));
  };
  drawAll();
  let frame;
  addEventListener('resize', () => {
    cancelAnimationFrame(frame);
    frame = requestAnimationFrame(() => drawAll());
  });
  matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => drawAll());
  addEventListener('beforeprint', () => {
    document.documentElement.classList.add('printing');
    drawAll(printWidth);
  });
  addEventListener('afterprint', () => {
    document.documentElement.classList.remove('printing');
    drawAll();
  });
})();
