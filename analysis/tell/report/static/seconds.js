// One run second by second, chosen by model, block and step, and the distribution of response times at that step.

const PANELS = [
  {part: "counts", text: "requests per second", lines: {rps: "answered", failures: "failed"}},
  {part: "counts", text: "response time in ms", log: true, lines: {mean_ms: "mean of the second"}, windows: {5: "p50 of the window", 6: "p99 of the window"}},
  {part: "host", text: "CPU cores", lines: {server_cpu: "server", others: "other programs on its cores"}, also: {worker_cpu: "busiest worker"}},
  {part: "host", text: "accept queue", lines: {accept_queue: "accept queue"}},
  {part: "host", text: "memory, MiB", lines: {memory_mb: "memory"}},
];
const TINTS = [["#0072b2", "#56b4ff", []], ["#d55e00", "#ff8a3d", [5, 2]], ["#009e73", "#2fd0a2", [1, 1.2]]];

async function unpacked(text) {
  const bytes = Uint8Array.from(atob(text), letter => letter.charCodeAt(0));
  return new Response(new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"))).json();
}

// Times are stored in tenths of a second, each as the difference to the one before.
const times = steps => { let sum = 0; return steps.map(step => (sum += step) / 10); };

function panelLines(panel, course, run) {
  const found = [];
  const add = (name, x, y, gaps) => y?.some(value => value != null) && found.push({name, x, y, gaps, joined: true});
  const clock = {counts: times(course.counts.at), host: times(course.host.at ?? [])};
  for (const [key, name] of Object.entries(panel.lines)) add(name, clock[panel.part], course[panel.part][key]);
  for (const [key, name] of Object.entries(panel.also ?? {})) add(name, clock.counts, course.counts[key]);
  for (const [column, name] of Object.entries(panel.windows ?? {})) {
    const x = [], y = [];
    for (const step of run.steps) {
      const window = course.spans.find(span => span[0] === step[0] && span[3] === "measure");
      if (window && step[column] != null) { x.push(window[4], window[5], window[5] + 0.01); y.push(step[column], step[column], null); }
    }
    add(name, x, y, true);
  }
  return found.map((line, at) => ({...line, look: {colour: TINTS[at][0], dark: TINTS[at][1], dash: TINTS[at][2], marker: ""}}));
}

// The measure windows as grey bands, with the users of each where there is room.
function bands(plot, course) {
  const {ctx: context, bbox} = plot, ratio = devicePixelRatio || 1;
  context.save();
  context.beginPath();
  context.rect(bbox.left, bbox.top, bbox.width, bbox.height);
  context.clip();
  context.font = `${11 * ratio}px system-ui, sans-serif`;
  for (const [, , users, phase, from, to] of course.spans) {
    if (phase !== "measure") continue;
    const [left, right] = [plot.valToPos(from, "x", true), plot.valToPos(to, "x", true)], text = shown(users);
    context.fillStyle = ink("--band");
    context.fillRect(left, bbox.top, right - left, bbox.height);
    context.fillStyle = ink("--quiet");
    if (context.measureText(text).width + 4 * ratio < right - left) context.fillText(text, left + 3 * ratio, bbox.top + 12 * ratio);
  }
  context.restore();
}

function choice(text, options) {
  const select = element("select", {}, ...options.map(([value, name]) => element("option", {value, textContent: name})));
  return [select, element("label", {}, `${text} `, select)];
}

function secondBySecond(section, data) {
  const labels = [...new Set(data.runs.map(run => run.label))];
  const [model, modelBox] = choice("Model", labels.map(label => [label, label]));
  const [block, blockBox] = choice("Block", []);
  const [step, stepBox] = choice("Step", []);
  const said = element("p", {className: "quiet"}), charts = element("div", {className: "course"});
  const tail = element("div", {className: "course"}), tailTitle = element("h3", {});
  section.append(element("p", {className: "choices"}, modelBox, blockBox, stepBox), said, charts, tailTitle, tail);
  const unpackedRuns = new Map();
  let asked = 0;

  const fill = (select, options) => {
    const before = select.value;
    select.replaceChildren(...options.map(([value, name]) => element("option", {value, textContent: name})));
    if (options.some(([value]) => String(value) === before)) select.value = before;
  };
  const clear = holder => { for (const plot of every) if (holder.contains(plot.root)) { plot.destroy(); every.delete(plot); } holder.replaceChildren(); };
  const run = () => data.runs.find(each => each.label === model.value && String(each.block) === block.value);

  async function show() {
    const mine = run(), turn = ++asked;
    if (!unpackedRuns.has(mine.name)) unpackedRuns.set(mine.name, await unpacked(mine.packed));
    if (turn !== asked) return;
    const course = unpackedRuns.get(mine.name), chosen = mine.steps.find(each => String(each[0]) === step.value);
    const spans = chosen ? course.spans.filter(span => span[0] === chosen[0]) : course.spans;
    const range = [Math.min(...spans.map(span => span[4])), Math.max(...spans.map(span => span[5]))];
    const ends = data.together > 1 ? ` Each point is the mean of ${data.together} seconds.` : "";
    said.textContent = (chosen
      ? `${mine.name} at ${shown(chosen[2])} users: ${chosen[3]}. In the measure window: ${["goodput in requests/s", "p50 in ms", "p99 in ms"].map((name, at) => `${name} ${known(chosen, at)}`).join(", ")}.`
      : `${mine.name}, the whole run.`) + " Grey: the measure windows, with their users; between them users are started and the server settles." + ends;
    clear(charts);
    const panels = PANELS.map(panel => [panel, panelLines(panel, course, mine)]).filter(([, lines]) => lines.length);
    for (const [panel, lines] of panels) {
      const holder = charts.appendChild(element("div"));
      const near = lines.map(line => within(line, range));
      draw({x: {text: "seconds since the run began"}, y: {text: panel.text, log: Boolean(panel.log)}, lines: near}, holder,
        {group: "seconds", height: 180, range, labelled: panel === panels[panels.length - 1][0], hooks: {drawClear: [plot => bands(plot, course)]}});
    }
    distribution(mine, chosen);
  }

  const known = (chosen, at) => chosen[4 + at] == null ? "not known" : chosen[7 + at] + shown(chosen[4 + at]);

  // The seconds in view and one on each side.
  function within(line, [from, to]) {
    const kept = line.x.map((x, at) => at).filter(at => line.x[at] >= from - 2 && line.x[at] <= to + 2);
    return {...line, x: kept.map(at => line.x[at]), y: kept.map(at => line.y[at])};
  }

  function distribution(mine, chosen) {
    clear(tail);
    const of = chosen
      ? data.distributions.filter(each => each.users === chosen[2])
      : data.distributions.filter(each => each.label === mine.label).sort((one, other) => one.users - other.users);
    tailTitle.textContent = of.length ? (chosen ? `Distribution of response times at ${shown(chosen[2])} users` : `Distribution of response times of ${mine.label}`) : "";
    if (!of.length) return;
    const lines = of.map((each, at) => ({
      name: (chosen ? each.label : `${shown(each.users)} users`) + (each.verdict === "valid" ? "" : ` (${each.verdict})`),
      look: chosen ? data.labels[each.label] : shade(at, of.length), x: each.ms, y: data.shares.slice(0, each.ms.length), joined: true,
    }));
    const holder = tail.appendChild(element("div"));
    draw({x: {text: "response time in ms", log: true}, y: {text: "share that took longer", log: true}, lines}, holder, {group: "tail", height: 300});
    tail.append(element("p", {className: "quiet", textContent: "All blocks together. A curve ends where fewer than ten requests took longer."}));
  }

  // From blue to red over the loads of one model.
  function shade(at, count) {
    const hue = 230 - 230 * (count > 1 ? at / (count - 1) : 0);
    return {colour: `hsl(${hue} 70% 40%)`, dark: `hsl(${hue} 80% 68%)`, dash: [], marker: ""};
  }

  function steps() {
    const name = ([, kind, users, verdict]) => `${shown(users)} users${["ladder", "trial"].includes(kind) ? "" : ` (${kind})`}: ${verdict}`;
    fill(step, [["", "the whole run"], ...run().steps.map(each => [each[0], name(each)])]);
    return show();
  }
  function blocks() {
    fill(block, data.runs.filter(each => each.label === model.value).map(each => [each.block, each.block]));
    return steps();
  }
  model.addEventListener("change", blocks);
  block.addEventListener("change", steps);
  step.addEventListener("change", show);
  blocks(); // at once: later, it would push down what a reader is looking at
}
