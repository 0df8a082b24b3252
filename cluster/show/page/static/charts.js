"use strict";
// The charts of one run: requests, response times, CPU. `series` is what the server sends of it.

const HEIGHT = 190;

function css(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}

function figure(value, digits) {
  return value == null ? "-" : value.toLocaleString("en", { maximumFractionDigits: digits });
}

// Failures are counted since the run began; a chart shows those of each second.
function perSecond(times, counts) {
  return counts.map((count, at) => at === 0 || count == null || counts[at - 1] == null ? null
    : Math.max(0, count - counts[at - 1]) / Math.max(0.2, times[at] - times[at - 1]));
}

// Samples of a host have times of their own: each is put to the nearest second of the run, if there is one.
function aligned(times, at, values) {
  const out = times.map(() => null);
  let next = 0;
  for (let i = 0; i < at.length; i++) {
    while (next + 1 < times.length && Math.abs(times[next + 1] - at[i]) <= Math.abs(times[next] - at[i])) next++;
    if (times.length && Math.abs(times[next] - at[i]) < 1.5) out[next] = values[i];
  }
  return out;
}

function line(label, colour, scale, digits, more) {
  return Object.assign({ label, stroke: css(colour), scale, width: 1.5, spanGaps: true, points: { show: false },
    value: (_, value) => figure(value, digits) }, more);
}

function sampled(series) {
  const shown = series.samples.filter(each => each.role === "server" || each.role === "host");
  return shown.map((each, at) => ({
    label: each.role === "server" ? "server" : each.name, colour: ["--b", "--a", "--d", "--e"][at % 4],
    values: aligned(series.seconds.time, each.time, each.cpu_cores), dash: each.role === "server" ? [] : [6, 3],
  }));
}

function charted(series) {
  const s = series.seconds, cpu = sampled(series);
  return {
    "chart-rate": {
      scales: ["req", "users"],
      lines: [line("requests/s", "--a", "req", 0), line("failures/s", "--b", "req", 0),
        line("users", "--c", "users", 0, { dash: [4, 3], paths: uPlot.paths.stepped({ align: 1 }) })],
      data: [s.time, s.rps, perSecond(s.time, s.failures), s.running],
    },
    "chart-time": {
      scales: ["ms"],
      lines: [line("p50, ms", "--a", "ms", 2), line("p99, ms", "--b", "ms", 2, { dash: [6, 3] })],
      data: [s.time, s.p50_ms, s.p99_ms],
    },
    "chart-cpu": {
      scales: ["cores", "lag"],
      lines: [line("busiest worker", "--c", "cores", 2), ...cpu.map(each => line(each.label, each.colour, "cores", 2, { dash: each.dash })),
        line("lag p99, ms", "--e", "lag", 2, { dash: [2, 3] })],
      data: [s.time, s.worker_cpu, ...cpu.map(each => each.values), s.lag_p99_ms],
    },
  };
}

const drawn = new Map();

function draw(series) {
  for (const [id, chart] of Object.entries(charted(series))) {
    const place = document.getElementById(id), key = series.run + chart.lines.map(each => each.label).join() + css("--paper");
    const old = drawn.get(id);
    if (old && old.key === key) {
      old.plot.setData(chart.data);
      continue;
    }
    if (old) old.plot.destroy();
    const axis = { stroke: css("--quiet"), grid: { stroke: css("--line"), width: 1 }, ticks: { stroke: css("--line"), width: 1 }, font: "12px system-ui" };
    const scales = Object.fromEntries(chart.scales.map(name => [name, { range: (_, low, high) => [0, high > 0 ? high * 1.1 : 1] }]));
    const plot = new uPlot({
      width: place.clientWidth, height: HEIGHT, series: [{ value: (_, at) => at == null ? "-" : clock(at) }, ...chart.lines],
      scales, cursor: { drag: { x: true, y: false } }, legend: { live: true },
      axes: [Object.assign({ space: 70, values: (_, ticks) => ticks.map(clock) }, axis), ...chart.scales.map((name, at) => Object.assign({}, axis, {
        scale: name, side: at ? 1 : 3, size: 54, grid: at ? { show: false } : axis.grid,
        values: (_, ticks) => ticks.map(tick => figure(tick, 3)),
      }))],
    }, chart.data, place);
    drawn.set(id, { key, plot });
  }
}

function clock(seconds) {
  return new Date(seconds * 1000).toLocaleTimeString("en-GB");
}

new ResizeObserver(() => {
  for (const [id, { plot }] of drawn) plot.setSize({ width: document.getElementById(id).clientWidth, height: HEIGHT });
}).observe(document.documentElement);
