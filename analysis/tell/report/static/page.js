// What the page is with a program: a chart and downloads for each figure, the seconds of each run, links where files are.

const read = id => JSON.parse(document.getElementById(id).textContent);
const charts = read("chart-data"), campaign = document.documentElement.dataset.campaign;
for (const panels of Object.values(charts.figures)) {
  for (const panel of panels) {
    for (const line of panel.lines) { line.look = line.look == null ? null : charts.looks[line.look]; line.joined ??= false; }
  }
}

function save(blob, name) {
  const link = element("a", {href: URL.createObjectURL(blob), download: name});
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}

// The figures of all panels of a chart, a row a point.
function csv(panels) {
  const quoted = value => /[",\n]/.test(value) ? `"${String(value).replaceAll('"', '""')}"` : value ?? "";
  const rows = [["figure", "name", "x", "y", "low", "high", "bound", "note"]];
  for (const {x, y, lines, rows: across} of panels) {
    for (const line of lines) {
      line.x.forEach((at, index) => rows.push([
        across.length ? x.text : `${y.text} by ${x.text}`, line.name, at, across.length ? "" : line.y[index], line.low?.[index], line.high?.[index],
        line.bound?.[index], line.note?.[index],
      ]));
    }
  }
  return rows.map(row => row.map(quoted).join(",")).join("\n") + "\n";
}

// The figure as its file has it: on white, without the variables by which it follows the page's colours.
function svg(image) {
  const text = new TextDecoder().decode(Uint8Array.from(atob(image.src.split(",", 2)[1]), letter => letter.charCodeAt(0)));
  const style = text.match(/<style>:root\{(--c0:.*?)\}@media.*?<\/style>/);
  const colours = new Map(style[1].split(";").filter(Boolean).map(each => each.split(":")));
  return text.replace(style[0], "").replaceAll(/var\((--c\d+)\)/g, (_, name) => colours.get(name));
}

async function png(image) {
  const figure = new Image(), scale = 3;
  figure.src = `data:image/svg+xml;base64,${btoa(Array.from(new TextEncoder().encode(svg(image)), byte => String.fromCharCode(byte)).join(""))}`;
  await figure.decode();
  const canvas = element("canvas", {width: scale * figure.naturalWidth, height: scale * figure.naturalHeight});
  canvas.getContext("2d").drawImage(figure, 0, 0, canvas.width, canvas.height);
  return new Promise(done => canvas.toBlob(done, "image/png"));
}

function tools(figure) {
  const name = figure.dataset.figure, panels = charts.figures[name], image = figure.querySelector("img");
  const bar = element("div", {className: "tools"});
  if (panels) {
    const holder = element("div", {className: "chart", hidden: true});
    const toggle = element("button", {type: "button", textContent: "Explore", title: "hover for figures, drag to zoom, double click to go back, switch models off in the legend"});
    const switched = () => {
      const shows = holder.hidden;
      holder.hidden = !shows;
      figure.classList.toggle("charted", shows);
      toggle.textContent = shows ? "Figure" : "Explore";
      toggle.setAttribute("aria-pressed", shows);
      if (shows && !holder.childElementCount) {
        holder.append(element("p", {className: "quiet", textContent: "Hover for figures; drag across to zoom, double click to go back; a click in the legend switches a line off."}));
        panels.forEach(panel => draw(panel, holder.appendChild(element("div")), {group: name}));
      }
    };
    toggle.setAttribute("aria-pressed", false);
    toggle.addEventListener("click", switched);
    image.addEventListener("click", switched);
    figure.insertBefore(holder, image.nextSibling);
    bar.append(toggle, element("button", {type: "button", textContent: "CSV", onclick: () => save(new Blob([csv(panels)], {type: "text/csv"}), `${campaign}-${name}.csv`)}));
  }
  bar.append(
    element("button", {type: "button", textContent: "SVG", onclick: () => save(new Blob([svg(image)], {type: "image/svg+xml"}), `${campaign}-${name}.svg`)}),
    element("button", {type: "button", textContent: "PNG", onclick: async () => save(await png(image), `${campaign}-${name}.png`)}),
  );
  figure.insertBefore(bar, figure.querySelector("figcaption"));
}

// Names of files become links where the page lies beside them: in the directory that it was written into, or one called latest.
function links() {
  const place = decodeURIComponent(location.pathname).split("/").at(-2);
  if (location.protocol !== "file:" || ![document.documentElement.dataset.place, "latest"].includes(place)) return;
  document.querySelectorAll("a[data-file]").forEach(link => { link.href = link.dataset.file; });
}

document.querySelectorAll("figure[data-figure]").forEach(tools);
links();
const seconds = document.getElementById("seconds-section"), courses = read("run-data");
if (courses.runs.length && "DecompressionStream" in window) {
  document.querySelectorAll("[data-program]").forEach(part => { part.hidden = false; });
  secondBySecond(seconds, courses);
}
