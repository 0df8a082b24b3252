"use strict";
// The table of runs: a row for each model and block, a column for each step; with a search, its trials and its bracket.

const SVG = "http://www.w3.org/2000/svg";

function element(name, text, attributes) {
  const made = document.createElement(name);
  if (text != null) made.textContent = text;
  for (const [key, value] of Object.entries(attributes || {})) made.setAttribute(key, value);
  return made;
}

function look(verdict) {
  return ["valid", "overload", "not-measured"].includes(verdict) ? `v-${verdict}` : "v-bad";
}

function signed(campaign, verdict) {
  return `${campaign.marks[verdict] || verdict[0].toUpperCase()} ${verdict}`;
}

function plural(count, what) {
  return `${count.toLocaleString("en")} ${what}${count === 1 ? "" : "s"}`;
}

function stepCell(campaign, run, step) {
  const cell = element("td", null, { "data-run": run.name, "data-step": step.number });
  const counts = run.steps[step.number], verdict = run.verdicts.find(each => each.step === step.number);
  const rate = verdict && verdict.rps != null ? verdict.rps : counts && counts.complete ? counts.rate : null;
  if (rate != null) cell.append(element("b", `${figure(rate, rate < 100 ? 1 : 0)}/s`));
  if (verdict) cell.append(element("small", signed(campaign, verdict.verdict), { class: look(verdict.verdict), title: verdict.text }));
  if (counts && counts.complete) {
    cell.dataset.requests = counts.requests;
    cell.dataset.failures = counts.failures;
    cell.append(element("small", plural(counts.requests, "request")));
    if (counts.failures) cell.append(element("small", `${figure(counts.failures, 0)} failed`, { class: "v-bad" }));
  }
  return cell;
}

function bracketOf(trials) {
  const failed = trials.filter(each => each.outcome === "failed").map(each => each.users);
  const high = failed.length ? Math.min(...failed) : null;
  const passed = trials.filter(each => each.outcome === "passed" && (high == null || each.users < high)).map(each => each.users);
  return { low: passed.length ? Math.max(...passed) : null, high };
}

function svg(name, attributes, text) {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  if (text != null) made.textContent = text;
  return made;
}

// Trials on a log scale of users, and the bracket between the largest that passed and the smallest that failed.
function bracketPicture(trials) {
  const { low, high } = bracketOf(trials), all = trials.map(each => each.users);
  const from = Math.log(Math.min(...all) / 1.4), to = Math.log(Math.max(...all) * 1.4);
  const x = users => 10 + 300 * (Math.log(users) - from) / (to - from);
  const words = `carried ${low == null ? "none" : low.toLocaleString("en")}, not carried ${high == null ? "none yet" : high.toLocaleString("en")}`;
  const picture = svg("svg", { class: "bracket", viewBox: "0 0 320 54", role: "img", "aria-label": words });
  const left = low == null ? 10 : x(low), right = high == null ? 310 : x(high);
  picture.append(svg("rect", { x: left, y: 14, width: Math.max(1, right - left), height: 18 }), svg("line", { x1: 10, x2: 310, y1: 23, y2: 23 }));
  for (const each of trials) {
    const kind = each.outcome === "passed" ? "passed" : each.outcome === "failed" ? "failed" : "other";
    const dot = svg("circle", { cx: x(each.users), cy: 23, r: each.long ? 6.5 : 4.5, class: kind });
    dot.append(svg("title", {}, `${each.users.toLocaleString("en")} users: ${each.outcome}${each.long ? ", twice as long" : ""}`));
    picture.append(dot);
  }
  if (low != null) picture.append(svg("text", { x: left, y: 11 }, low.toLocaleString("en")));
  if (high != null) picture.append(svg("text", { x: right, y: 46 }, high.toLocaleString("en")));
  return picture;
}

function searchCells(run, trials) {
  const tried = element("td", null, { class: "words trials", "data-run": run.name }), bracket = element("td", null, { class: "words" });
  const signs = { passed: "✓", failed: "✗", generator: "G", unclear: "?" };
  for (const each of trials) {
    const colour = { passed: "v-valid", failed: "v-bad" }[each.outcome] || "";
    tried.append(element("span", `${figure(each.users, 0)}${each.long ? "×2" : ""} ${signs[each.outcome] || each.outcome}`, { class: `trial ${colour}` }), " ");
  }
  if (trials.length) bracket.append(bracketPicture(trials));
  if (run.bracket) {
    const { low, high, ended } = run.bracket;
    bracket.append(element("small", low == null ? "no load that was tried is carried" : ended === "slo" && high != null
      ? `carries ${plural(low, "user")}, not ${figure(high, 0)}` : `carries at least ${plural(low, "user")} (ended by ${ended})`));
  }
  return [bracket, tried];
}

function runRow(campaign, run, pick) {
  const row = element("tr", null, { "data-run": run.name, class: run.status === "running" ? "running" : "" });
  const name = element("th", null, { scope: "row" });
  name.append(element("span", null, { class: "swatch" }), run.label);
  for (const [property, colour] of Object.entries(run.colours)) name.firstChild.style.setProperty(property, colour);
  if (campaign.blocks > 1) name.append(element("small", `block ${run.block}`));
  const state = element("td", null, { class: "words" });
  state.append(run.status, run.attempt > 1 ? `, attempt ${run.attempt}` : "");
  if (run.reason) state.append(element("small", run.reason.length > 80 ? run.reason.slice(0, 80) + "..." : run.reason, { title: run.reason }));
  const cells = campaign.search ? searchCells(run, run.trials) : campaign.steps.map(step => stepCell(campaign, run, step));
  const last = element("td", null, { class: "words" });
  if (["done", "failed"].includes(run.status)) {
    const button = element("button", "seconds", { type: "button", "aria-label": `second by second of block ${run.block}, ${run.label}` });
    button.addEventListener("click", () => pick(run));
    last.append(button);
  }
  if (run.logs.length) {
    const logs = element("details");
    logs.append(element("summary", "logs"), ...run.logs.map(path => {
      const link = element("a", path.split("/").pop(), { href: path.split("/").map(encodeURIComponent).join("/"), target: "_blank", rel: "noopener" });
      const line = element("small");
      line.append(link);
      return line;
    }));
    last.append(logs);
  }
  row.append(name, state, ...cells, last);
  return row;
}

const rows = new Map();

// A row that hasn't changed stays, with what is open in it.
function rowOf(campaign, run, pick) {
  const key = JSON.stringify(run), old = rows.get(run.name);
  if (old && old.key === key) return old.row;
  const row = runRow(campaign, run, pick);
  rows.set(run.name, { key, row });
  return row;
}

function showRuns(campaign, pick) {
  const table = document.getElementById("runs"), head = element("tr");
  const titles = campaign.search ? ["users carried, and not", "trials: users"]
    : campaign.steps.map(step => `${figure(step.users, 0)} users${step.kind === "return" ? " again" : ""}`);
  for (const title of ["model", "state", ...titles, ""]) head.append(element("th", title, { scope: "col", class: campaign.search || title === "state" ? "words" : "" }));
  table.tHead.replaceChildren(head);
  table.tBodies[0].replaceChildren(...campaign.runs.map(run => rowOf(campaign, run, pick)));
  const about = campaign.search
    ? `Each trial holds where p99 is at most ${figure(campaign.slo.p99_ms, 0)} ms and at most ${figure(campaign.slo.failures_percent, 2)} % fail.`
    : "Requests per second of each step, its verdict, and how many requests its measure window has.";
  document.getElementById("runs-about").textContent = about;
  document.getElementById("legend").textContent = campaign.search ? "✓ holds, ✗ is broken, G the load generator was the limit, ? unclear; ×2 measured twice as long" : "";
}
