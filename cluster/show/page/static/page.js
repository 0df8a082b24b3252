"use strict";
// The page follows the campaign: the server sends everything at the beginning, then each second what is new.

const byId = id => document.getElementById(id);
let campaign = null, streamed = null, picked = null, told = 0;

function say(id, text) {
  const place = byId(id);
  if (place.textContent !== text) place.textContent = text;
}

function milliseconds(value) {
  return value == null ? "-" : `${figure(value, value < 10 ? 2 : 0)} ms`;
}

function showState(now) {
  const total = campaign ? campaign.runs.length : 0, done = `${now.sealed} of ${total} runs`;
  const running = now.title ? `running: ${now.title}; ${done} have ended` : null;
  const rest = campaign && campaign.ended ? `${campaign.ended}: ${done} have ended`
    : now.sealed === total ? `finished: ${done}` : `between runs, or not running: ${done} have ended`;
  byId("state").className = "";
  say("state", running || rest);
}

function showNow(now) {
  const live = now.live || {};
  showState(now);
  byId("now").hidden = !now.live;
  const step = live.kind === "idle" ? "idle step" : live.step == null ? "start" : `${campaign && campaign.search ? "trial" : "step"} ${live.step}`;
  say("where", `${now.title}: ${step}, ${live.phase || "start"}`);
  say("f-users", now.live ? `${figure(live.running, 0)} of ${figure(live.users, 0)}` : "-");
  say("f-rps", figure(live.rps, live.rps < 100 ? 1 : 0));
  say("f-requests", figure(live.requests, 0));
  say("f-failures", figure(live.failures, 0));
  say("f-p50", milliseconds(live.p50_ms));
  say("f-p99", milliseconds(live.p99_ms));
  say("f-lag", milliseconds(live.lag_p99_ms));
  say("f-worker", live.worker_cpu == null ? "-" : `${figure(100 * live.worker_cpu, 0)} %`);
  say("f-left", now.left ? `about ${now.left}` : "-");
  for (const cell of document.querySelectorAll("#runs td.now")) cell.classList.remove("now");
  const row = now.run && document.querySelector(`#runs tr[data-run="${CSS.escape(now.run)}"]`);
  const cell = row && live.step != null && row.querySelector(`td[data-step="${live.step}"]`);
  if (cell) {
    cell.classList.add("now");
    if (cell.dataset.requests == null) cell.replaceChildren(element("b", `${figure(live.rps, 0)}/s`), element("small", live.phase || ""));
  }
  if (row && campaign.search && live.trials.length) {
    const run = campaign.runs.find(each => each.name === now.run), cells = searchCells(run, live.trials);
    row.children[2].replaceWith(cells[0]);
    row.children[3].replaceWith(cells[1]);
  }
}

function showCampaign(value) {
  campaign = value;
  showRuns(campaign, pick);
  const judged = campaign.runs.flatMap(run => run.verdicts.map(verdict => ({ run, verdict })));
  byId("verdicts").replaceChildren(...judged.reverse().map(({ run, verdict }) => {
    const item = element("li", null, { "data-run": run.name, "data-step": verdict.step });
    item.append(element("span", signed(campaign, verdict.verdict), { class: look(verdict.verdict) }),
      `${campaign.blocks > 1 ? ` block ${run.block},` : ""} ${verdict.text}`);
    if (verdict.reasons.length > 1) {
      const list = element("ul");
      list.append(...verdict.reasons.slice(1).map(reason => element("li", reason)));
      item.append(list);
    }
    return item;
  }));
  const report = byId("report"), over = campaign.ended || !campaign.current;
  report.hidden = !(campaign.report && over);
  if (campaign.report) report.firstElementChild.href = campaign.report;
  say("directory", campaign.directory);
}

function showSeries() {
  const series = picked || streamed;
  if (!series) return;
  const run = campaign && campaign.runs.find(each => each.name === series.run);
  say("series-of", run ? `block ${run.block}, ${run.label}` : "calibration of the load generator");
  byId("follow").hidden = !picked;
  const empty = series.seconds.time.length === 0;
  byId("charts-none").hidden = !empty;
  byId("charts").hidden = empty;
  if (!empty) draw(series);
  const latest = series.samples.map(each => [each, each.cpu_cores.findLast(value => value != null)]).filter(([, cpu]) => cpu != null);
  byId("hosts-none").hidden = latest.length > 0;
  byId("hosts").tBodies[0].replaceChildren(...latest.map(([each, cpu]) => {
    const row = element("tr");
    row.append(element("td", each.host), element("td", each.role === "host" ? "all of it" : `${each.role} ${each.name}`, { class: "words" }),
      element("td", figure(cpu, 2)), element("td", figure(each.cores, 0)));
    return row;
  }));
}

function extend(more) {
  if (!streamed || streamed.run !== more.run) return;
  for (const [name, column] of Object.entries(more.seconds)) streamed.seconds[name].push(...column);
  for (const each of more.samples) {
    const old = streamed.samples.find(known => known.host === each.host && known.role === each.role && known.name === each.name);
    if (!old) streamed.samples.push(each);
    else {
      old.time.push(...each.time);
      old.cpu_cores.push(...each.cpu_cores);
      old.cores = each.cores;
    }
  }
}

async function pick(run) {
  const answer = await fetch(`series/${encodeURIComponent(run.name)}`);
  if (!answer.ok) return;
  picked = await answer.json();
  showSeries();
  byId("h-seconds").scrollIntoView();
}

byId("follow").addEventListener("click", () => { picked = null; showSeries(); });
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", showSeries);

const source = new EventSource("events");
const on = (name, handle) => source.addEventListener(name, event => handle(JSON.parse(event.data)));
source.addEventListener("open", () => { byId("log").replaceChildren(); streamed = null; });
on("campaign", showCampaign);
on("now", showNow);
on("series", value => { streamed = value; if (!picked) showSeries(); });
on("more", value => { extend(value); if (!picked && value.seconds.time.length) showSeries(); });
on("log", lines => {
  const list = byId("log");
  for (const each of lines) {
    const item = element("li");
    item.append(element("time", clock(each.time)), each.text);
    list.prepend(item);
  }
});
on("tails", logs => {
  const open = new Set([...document.querySelectorAll("#tails details[open]")].map(each => each.dataset.name));
  byId("tails").replaceChildren(...Object.entries(logs).map(([name, lines]) => {
    const details = element("details", null, { "data-name": name });
    details.open = open.has(name);
    details.append(element("summary", name), element("pre", lines.join("\n")));
    return details;
  }));
});
source.addEventListener("error", () => {
  byId("state").className = "lost";
  byId("report").hidden = true;
  say("state", `fab serves this page no longer; \`fab serve ${campaign ? campaign.directory : "DIR"}\` shows it again, and its report`);
});
