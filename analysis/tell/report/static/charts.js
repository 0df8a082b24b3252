// A chart of one panel by uPlot, which has axes, zoom, cursor and legend; lines, intervals and markers are drawn here.

const dark = matchMedia("(prefers-color-scheme: dark)");
const ink = name => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
const lineColour = look => look ? (dark.matches ? look.dark : look.colour) : ink("--quiet");
const NEAR = 24; // CSS pixels from the cursor within which a line's next point is told
const ARROW = 16;
const every = new Set(); // charts to draw anew when the colour scheme changes
dark.addEventListener("change", () => every.forEach(chart => chart.redraw()));

function element(tag, properties = {}, ...children) {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children);
  return made;
}

function shown(value) {
  if (value == null) return "";
  return Math.abs(value) >= 1000 ? value.toLocaleString("en", {maximumFractionDigits: 0}) : String(Number(value.toPrecision(4)));
}

// What the legend says of the points at one place, of which several are trials of a load in several blocks.
const toldAll = (line, found, across, hovered) => found.map(at => told(line, at, across, hovered)).join("; ");

// What the legend says of a point: its figure as a table has it, interval, and what else is known.
function told(line, at, across, hovered) {
  const value = across ? line.x[at] : line.y[at];
  const [low, high] = [line.low?.[at], line.high?.[at]];
  const sign = line.bound?.[at] ? `${line.bound[at]} ` : "";
  const interval = low != null && high != null && low !== high ? ` [${shown(low)}, ${shown(high)}]` : "";
  const where = !across && hovered != null && line.x[at] !== hovered ? ` at ${shown(line.x[at])}` : "";
  return [sign + shown(value) + interval + where, line.note?.[at]].filter(Boolean).join(", ");
}

const corners = (count, turn, inner) => Array.from({length: inner ? 2 * count : count}, (_, at) => {
  const angle = turn + 2 * Math.PI * at / (inner ? 2 * count : count);
  const far = inner && at % 2 ? inner : 1;
  return [far * Math.sin(angle), -far * Math.cos(angle)];
});
const SHAPES = {
  s: corners(4, Math.PI / 4), D: corners(4, 0), d: corners(4, 0).map(([x, y]) => [0.6 * x, y]), "^": corners(3, 0),
  v: corners(3, Math.PI), "<": corners(3, -Math.PI / 2), ">": corners(3, Math.PI / 2), p: corners(5, 0),
  h: corners(6, 0), H: corners(6, Math.PI / 6), 8: corners(8, Math.PI / 8), "*": corners(5, 0, 0.45),
  P: [[-.4, -1], [.4, -1], [.4, -.4], [1, -.4], [1, .4], [.4, .4], [.4, 1], [-.4, 1], [-.4, .4], [-1, .4], [-1, -.4], [-.4, -.4]],
};
SHAPES.X = SHAPES.P.map(([x, y]) => [0.75 * (x - y), 0.75 * (x + y)]);

function mark(context, shape, x, y, size, colour, hollow) {
  context.beginPath();
  if (shape === "x" || shape === "+") {
    const [along, aside] = shape === "x" ? [size, size] : [1.4 * size, 0];
    context.moveTo(x - along, y - aside); context.lineTo(x + along, y + aside);
    context.moveTo(x + aside, y - along); context.lineTo(x - aside, y + along);
    context.stroke();
    return;
  }
  if (SHAPES[shape]) {
    SHAPES[shape].forEach(([dx, dy]) => context.lineTo(x + 1.2 * size * dx, y + 1.2 * size * dy));
    context.closePath();
  } else {
    context.arc(x, y, size, 0, 2 * Math.PI);
  }
  context.fillStyle = hollow ? ink("--paper") : colour;
  context.fill();
  context.stroke();
}

function paint(plot, line, across) {
  const {ctx: context, bbox} = plot, ratio = devicePixelRatio || 1, colour = lineColour(line.look);
  const log = name => plot.scales[name].distr === 3;
  const there = (x, y) => x != null && y != null && (x > 0 || !log("x")) && (y > 0 || !log("y"));
  const place = (x, y) => [plot.valToPos(x, "x", true), plot.valToPos(y, "y", true)];
  context.save();
  context.beginPath();
  context.rect(bbox.left, bbox.top, bbox.width, bbox.height);
  context.clip();
  context.strokeStyle = colour;
  context.lineWidth = 1.6 * ratio;
  if (line.joined) {
    context.setLineDash((line.look ? line.look.dash : [6, 3]).map(length => 1.6 * ratio * length));
    context.beginPath();
    let broken = true;
    line.x.forEach((x, at) => {
      if (line.few?.[at]) return;
      const known = there(x, line.y[at]);
      if (known) broken ? context.moveTo(...place(x, line.y[at])) : context.lineTo(...place(x, line.y[at]));
      broken = known ? false : broken || Boolean(line.gaps); // with `gaps` a line ends where nothing is known
    });
    context.stroke();
    context.setLineDash([]);
  }
  line.x.forEach((x, at) => {
    const y = line.y[at];
    if (!there(x, y)) return;
    const [left, top] = place(x, y), [low, high] = [line.low?.[at], line.high?.[at]];
    context.lineWidth = 1.4 * ratio;
    if (low != null && high != null) {
      context.beginPath();
      context.moveTo(...(across ? place(low, y) : place(x, low)));
      context.lineTo(...(across ? place(high, y) : place(x, high)));
      context.stroke();
    }
    const bound = line.bound?.[at];
    if (bound && bound !== "≈") { // an arrow in the direction in which the true figure lies
      const [dx, dy] = across ? [bound === "≥" ? 1 : -1, 0] : [0, bound === "≥" ? -1 : 1], far = ARROW * ratio, tip = 5 * ratio;
      context.beginPath();
      context.moveTo(left, top);
      context.lineTo(left + far * dx, top + far * dy);
      context.lineTo(left + far * dx - tip * (dx + dy), top + far * dy - tip * (dy + dx));
      context.moveTo(left + far * dx, top + far * dy);
      context.lineTo(left + far * dx - tip * (dx - dy), top + far * dy - tip * (dy - dx));
      context.stroke();
    }
    if (line.marks) mark(context, line.marks, left, top, (line.few?.[at] ? 2 : 3.6) * ratio, colour, line.hollow?.[at]);
  });
  context.restore();
}

// An axis from a little below to a little above what is shown, so that no marker at its ends is cut.
function padded(log, from, to) {
  const apart = log ? Math.max(1.12, (to / from) ** 0.06) : 0.04 * (to - from || 1);
  return log ? [from / apart, to * apart] : [from - apart, to + apart];
}

function scale(axis, lines, name, limit) {
  const ends = lines.flatMap(line => [...line[name], ...(line.low ?? []), ...(line.high ?? [])]).filter(value => value != null);
  if (limit != null) ends.push(limit);
  const known = axis.log ? ends.filter(value => value > 0) : ends;
  if (!known.length) return [axis.log ? 1 : 0, axis.log ? 10 : 1];
  const [from, to] = [known.reduce((a, b) => Math.min(a, b)), known.reduce((a, b) => Math.max(a, b))];
  return padded(axis.log, !axis.log && name === "y" ? Math.min(0, from) : from, to);
}

// `chart` as chart_data.py has it, each line's `look` the look itself; `group` are charts that share cursor and switches.
function draw(chart, holder, {group, height = 260, hooks = {}, range, labelled = true} = {}) {
  const {lines, rows = []} = chart, across = rows.length > 0;
  const xs = [...new Set(lines.flatMap(line => line.x))].sort((a, b) => a - b);
  const position = new Map(xs.map((x, at) => [x, at]));
  const points = lines.map(line => {
    const found = new Array(xs.length).fill(null);
    line.x.forEach((x, at) => { if (line.y[at] != null) (found[position.get(x)] ??= []).push(at); });
    return found;
  });
  const columns = lines.map((line, index) => points[index].map(found => found && line.y[found[0]]));
  const xRange = range ?? scale(chart.x, across ? lines : lines.map(line => ({x: line.x})), "x");
  const yRange = across ? [-0.6, rows.length - 0.4] : scale(chart.y, lines, "y", chart.limit);
  const axis = (extra, log) => ({
    stroke: () => ink("--ink"), grid: {stroke: () => ink("--line"), width: 1}, ticks: {stroke: () => ink("--line")},
    font: "12px system-ui, sans-serif", labelFont: "12px system-ui, sans-serif", labelSize: 20,
    values: (_, splits) => splits.map(shown), ...(log ? {splits: (_, axis, from, to) => decades(from, to), filter: (_, splits) => splits} : {}), ...extra,
  });
  const whole = (min, max) => xs.length < 2 || min == null || (min === xs[0] && max === xs[xs.length - 1]);
  const widest = Math.max(0, ...rows.map(name => name.length)), room = Math.max(90, Math.min(7.2 * widest + 16, 0.42 * holder.clientWidth));
  const short = name => name.length * 7.2 + 16 > room ? `${name.slice(0, Math.floor(room / 7.2) - 3)}…` : name;
  const plot = new uPlot({
    width: holder.clientWidth, height: across ? 70 + 26 * rows.length : height,
    scales: {
      x: {time: false, distr: chart.x.log ? 3 : 1, range: (_, min, max) => whole(min, max) ? xRange : [min, max]},
      y: {distr: chart.y.log ? 3 : 1, dir: across ? -1 : 1, range: () => yRange},
    },
    axes: [
      axis({...(labelled ? {label: chart.x.text} : {}), scale: "x", space: 60}, chart.x.log),
      across
        ? axis({scale: "y", size: room, splits: () => rows.map((_, at) => at), values: () => rows.map(short), filter: (_, splits) => splits})
        : axis({label: chart.y.text, scale: "y", size: 58}, chart.y.log),
    ],
    series: [
      {label: chart.x.text || "value", value: (_, value) => shown(value) || "–"},
      ...lines.map((line, index) => ({
        label: line.name, stroke: () => lineColour(line.look), width: 2, dash: line.look?.dash, points: {show: false}, paths: () => null,
        value: (plot, value, series, at) => {
          const found = at == null ? null : points[index][at];
          return found == null ? "–" : toldAll(line, found, across, plot.data[0][plot.cursor.idx]);
        },
      })),
    ],
    cursor: {
      sync: {key: group, setSeries: true}, drag: {x: true, y: false, setScale: true},
      dataIdx: (plot, series, at, x) => series === 0 ? at : nearest(plot, points[series - 1], xs, at, x),
    },
    hooks: {
      drawClear: [plot => band(plot, chart.band), ...(hooks.drawClear ?? [])],
      drawSeries: [(plot, series) => paint(plot, lines[series - 1], across)],
      draw: [plot => limitLine(plot, chart.limit)],
    },
  }, [xs, ...columns], holder);
  plot.root.querySelectorAll(".u-legend .u-series:not(:first-child) th").forEach(head => {
    Object.assign(head, {tabIndex: 0, title: "switch on or off"});
    head.setAttribute("role", "button");
    head.addEventListener("keydown", event => { if (event.key === "Enter" || event.key === " ") { event.preventDefault(); head.click(); } });
  });
  every.add(plot);
  new ResizeObserver(() => {
    if (holder.clientWidth && holder.clientWidth !== plot.width) plot.setSize({width: holder.clientWidth, height: plot.height});
  }).observe(holder);
  return plot;
}

// The ticks of a log axis: 1, 2 and 5 times the powers of ten, or those alone where they are many.
function decades(from, to) {
  const found = [], digits = to / from > 500 ? [1] : to / from > 4 ? [1, 2, 5] : [1, 1.5, 2, 3, 4, 5, 6, 7, 8, 9];
  for (let power = Math.floor(Math.log10(from)); power <= Math.log10(to); power += 1) {
    found.push(...digits.map(digit => Number(`${digit}e${power}`)));
  }
  return found.filter(value => value >= from && value <= to);
}

function nearest(plot, points, xs, at, x) {
  if (at == null || points[at] != null) return at;
  const here = plot.valToPos(x, "x");
  let best = null, least = NEAR;
  points.forEach((point, index) => {
    const away = point == null ? Infinity : Math.abs(plot.valToPos(xs[index], "x") - here);
    if (away < least) [best, least] = [index, away];
  });
  return best;
}

// A range of x in which a difference counts as none.
function band(plot, ends) {
  if (!ends) return;
  const {ctx: context, bbox} = plot, [left, right] = ends.map(end => plot.valToPos(end, "x", true));
  context.save();
  context.beginPath();
  context.rect(bbox.left, bbox.top, bbox.width, bbox.height);
  context.clip();
  context.fillStyle = ink("--line");
  context.fillRect(left, bbox.top, right - left, bbox.height);
  context.restore();
}

function limitLine(plot, limit) {
  if (limit == null) return;
  const {ctx: context, bbox} = plot, y = plot.valToPos(limit, "y", true), ratio = devicePixelRatio || 1;
  context.save();
  Object.assign(context, {strokeStyle: ink("--ink"), lineWidth: ratio});
  context.setLineDash([4 * ratio, 3 * ratio]);
  context.beginPath();
  context.moveTo(bbox.left, y);
  context.lineTo(bbox.left + bbox.width, y);
  context.stroke();
  context.restore();
}
