"use strict";
// Draws the page from /state.json, again every minute. It loads nothing else and sends nothing.

const EVERY_MS = 60000;
const SOON_MS = 11000;
const WINDOW = 5; // readings over which a rate is the mean
const TITLES = { bank: "Bank", escrow: "Escrow", merchant: "Merchant", relay: "Relay" };
const byId = (id) => document.getElementById(id);

function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

function drawn(name, attributes, label) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  if (label !== undefined) made.textContent = label;
  return made;
}

// ---- numbers as people read them ----

const grouped = (number, digits = 0) => number.toLocaleString("en", { minimumFractionDigits: digits, maximumFractionDigits: digits });
const rate = (number) => grouped(number, number > 0 && number < 10 ? 1 : 0);
const money = (units) => grouped(units / 100, 2);
const short = (number) => {
  for (const [unit, sign] of [[1e9, "G"], [1e6, "M"], [1e4, "k"]]) if (number >= unit) return `${grouped(number / (sign === "k" ? 1e3 : unit), number / unit < 10 && sign !== "k" ? 1 : 0)} ${sign}`;
  return number.toLocaleString("en", { maximumFractionDigits: 2 });
};
const size = (bytes) => {
  const gib = bytes / 2 ** 30;
  return gib >= 1 ? [grouped(gib, gib < 10 ? 1 : 0), "GiB"] : [grouped(bytes / 2 ** 20), "MiB"];
};
const span = (seconds) => {
  const days = Math.floor(seconds / 86400), hours = Math.floor(seconds / 3600) % 24, minutes = Math.floor(seconds / 60) % 60;
  if (days) return `${days} d ${hours} h`;
  return hours ? `${hours} h ${minutes} min` : `${minutes} min`;
};
const two = (number) => String(number).padStart(2, "0");
const clock = (ms) => { const at = new Date(ms); return `${two(at.getHours())}:${two(at.getMinutes())}`; };
const day = (ms) => { const at = new Date(ms); return `${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())}`; };

// ---- series ----

// The increase a minute at each reading, as the mean of the last readings. A count that falls belongs to a new start.
function perMinute(series, values) {
  return values.map((value, index) => {
    const from = Math.max(0, index - WINDOW);
    const ms = series.at_ms[index] - series.at_ms[from];
    return ms > 0 && value >= values[from] ? (value - values[from]) * 60000 / ms : null;
  });
}

// The mean of `above` for each one of `below` at each reading, over the last readings.
function meanOf(above, below) {
  return above.map((value, index) => {
    const from = Math.max(0, index - WINDOW);
    const count = below[index] - below[from];
    return count > 0 ? (value - above[from]) / count : null;
  });
}

function nice(most) {
  const power = 10 ** Math.floor(Math.log10(most));
  return [1, 2, 2.5, 5, 10].map((step) => step * power).find((step) => step >= most);
}

// ---- charts ----

const HEIGHT = 170, LEFT = 46, RIGHT = 8, TOP = 8, BOTTOM = 22;

function chart(title, note, at, lines, show) {
  const box = element("figure", { class: "chart" }, element("h3", {}, title, " ", element("small", {}, note)));
  const legend = element("ul", { class: "legend" });
  box.append(legend);
  const tell = (index) => legend.replaceChildren(...lines.map((line, number) => {
    const value = line.values[index];
    return element("li", { class: `s${number}` }, `${line.name} `, element("b", {}, value === null || value === undefined ? "–" : show(value)));
  }));
  const last = at.length - 1;
  tell(last);
  const known = lines.flatMap((line) => line.values).filter((value) => value !== null && value !== undefined);
  if (last < 1 || known.length < 2) {
    box.append(element("p", { class: "none" }, "There is a line here after some minutes."));
    return box;
  }
  box.append(plot(title, at, lines, show, tell, Math.max(...known)));
  return box;
}

function plot(title, at, lines, show, tell, greatest) {
  const width = Math.max(300, Math.min(640, byId("charts").clientWidth < 700 ? byId("charts").clientWidth - 28 : 480));
  const last = at.length - 1, most = greatest > 0 ? nice(greatest * 1.02) : 1;
  const x = (ms) => LEFT + (width - LEFT - RIGHT) * (ms - at[0]) / Math.max(1, at[last] - at[0]);
  const y = (value) => HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * value / most;
  const words = lines.map((line) => `${line.name} ${show(line.values[last] ?? 0)}`).join(", ");
  const svg = drawn("svg", { viewBox: `0 0 ${width} ${HEIGHT}`, role: "img", "aria-label": `${title}, ${clock(at[0])} to ${clock(at[last])}; last: ${words}` });
  for (const part of [0, 0.5, 1]) {
    svg.append(drawn("line", { class: "grid", x1: LEFT, x2: width - RIGHT, y1: y(most * part), y2: y(most * part) }));
    svg.append(drawn("text", { x: LEFT - 6, y: y(most * part) + 4, "text-anchor": "end" }, show.axis(most * part)));
  }
  for (const part of [0, 1 / 3, 2 / 3, 1]) {
    const ms = at[0] + (at[last] - at[0]) * part;
    svg.append(drawn("text", { x: x(ms), y: HEIGHT - 5, "text-anchor": part === 0 ? "start" : part === 1 ? "end" : "middle" }, clock(ms)));
  }
  lines.forEach((line, number) => {
    let path = "", area = "", begin = null, end = null;
    line.values.forEach((value, index) => {
      if (value === null || value === undefined) return;
      begin ??= x(at[index]);
      end = x(at[index]);
      path += `${path ? "L" : "M"}${end.toFixed(1)} ${y(value).toFixed(1)}`;
    });
    if (!path) return;
    if (lines.length === 1) area = `${path}L${end.toFixed(1)} ${y(0)}L${begin.toFixed(1)} ${y(0)}Z`;
    if (area) svg.append(drawn("path", { class: `area s${number}`, d: area }));
    svg.append(drawn("path", { class: `series s${number}`, d: path }));
  });
  follow(svg, at, lines, { x, y, width }, tell);
  return svg;
}

// Shows the values at the pointer in the legend.
function follow(svg, at, lines, { x, y, width }, tell) {
  const mark = drawn("g", {});
  svg.append(mark);
  svg.addEventListener("pointermove", (event) => {
    const place = svg.getBoundingClientRect();
    const asked = (event.clientX - place.left) * width / place.width;
    let index = 0;
    at.forEach((ms, candidate) => { if (Math.abs(x(ms) - asked) < Math.abs(x(at[index]) - asked)) index = candidate; });
    const across = x(at[index]);
    mark.replaceChildren(drawn("line", { class: "at", x1: across, x2: across, y1: TOP, y2: HEIGHT - BOTTOM }));
    lines.forEach((line, number) => {
      const value = line.values[index];
      if (value !== null && value !== undefined) mark.append(drawn("circle", { class: `dot s${number}`, cx: across, cy: y(value), r: 3.5 }));
    });
    const left = across > width - 40;
    mark.append(drawn("text", { x: across + (left ? -4 : 4), y: TOP + 8, "text-anchor": left ? "end" : "start" }, clock(at[index])));
    tell(index);
  });
  svg.addEventListener("pointerleave", () => { mark.replaceChildren(); tell(at.length - 1); });
}

const asRate = Object.assign(rate, { axis: short });
const asCount = Object.assign((value) => grouped(value), { axis: short });
const asMoney = Object.assign(money, { axis: (value) => short(value / 100) });
const asMs = Object.assign((value) => `${grouped(value, value < 10 ? 2 : 1)} ms`, { axis: short });

// ---- parts of the page ----

function tile(title, value, unit, note, alarm = false) {
  const number = element("b", {}, value, unit ? element("small", {}, ` ${unit}`) : "");
  return element("div", { class: alarm ? "tile alarm" : "tile" }, element("h3", {}, title), number, element("p", {}, note));
}

function tiles(state) {
  const { status, series } = state, now = status.state;
  const last = (values) => values[values.length - 1];
  const made = [];
  const requests = last(perMinute(series, series.requests));
  made.push(tile("Requests", requests === null ? "–" : rate(requests), "a minute", `${grouped(status.network.requests)} since the start`));
  const refused = now.replies.refused + now.replies.later + now.replies.faulty + status.network.busy;
  const all = status.network.requests;
  made.push(tile("Refused", all ? grouped(100 * refused / all, 1) : "0", "%", `${grouped(status.network.busy)} as it was busy`));
  made.push(tile("Connections", grouped(now.load.connections.now), "", `of at most ${grouped(now.load.connections.most)}`, now.load.connections.now > 0.8 * now.load.connections.most));
  if (status.store) {
    const took = last(meanOf(series.sync_us, series.syncs));
    made.push(tile("Sync", took === null ? "–" : grouped(took / 1000, took < 10000 ? 2 : 1), "ms", `${grouped(status.store.records)} records, ${size(status.store.journal_bytes).join(" ")}`));
  }
  const [free, unit] = size(now.disk.free_bytes);
  made.push(tile("Disk", free, `${unit} free`, `of ${size(now.disk.size_bytes).join(" ")}`, now.disk.free_bytes < 2 ** 30));
  made.push(tile("Complaints", grouped(now.complaints), "", now.complaints ? "see the log" : "nothing goes wrong again and again", now.complaints > 0));
  if (status.history) {
    const decides = status.history.standing === "up";
    made.push(tile("Decides", decides ? "yes" : "no", "", `${status.history.proven} of ${status.history.witnesses} witnesses agree`, !decides));
  }
  if (status.keys) made.push(tile("Keys", grouped(status.keys.epochs), `of ${status.keys.epochs_max} epochs`, `issue until ${day(status.keys.issues_until_ms)}`, status.keys.full || Boolean(status.keys.doubt)));
  made.push(tile("Up", span(status.up_ms / 1000), "", `version ${state.version}`));
  const [memory, memoryUnit] = size(status.process.memory_peak_bytes);
  made.push(tile("Memory", memory, memoryUnit, `at most; ${grouped(status.process.cpu_us / 1e6)} s of CPU`));
  byId("tiles").replaceChildren(...made);
}

function work(state) {
  const { series, status } = state, at = series.at_ms;
  const minute = (name, values) => ({ name, values: perMinute(series, values) });
  const made = [
    chart("Requests", "a minute", at, [minute("requests", series.requests)], asRate),
    chart("Refusals", "a minute", at, [minute("for their content", series.refused), minute("not now", series.later), minute("of no use", series.faulty), minute("busy", series.busy)], asRate),
    chart("Under way", "at each reading", at, [{ name: "connections", values: series.connections_now }, { name: "requests", values: series.requests_now }], asCount),
  ];
  if (status.store) {
    const took = meanOf(series.sync_us, series.syncs).map((us) => us === null ? null : us / 1000);
    made.push(chart("Store", "a minute", at, [minute("transactions", series.transactions), minute("syncs", series.syncs)], asRate));
    made.push(chart("Time of a sync", "mean", at, [{ name: "sync", values: took }], asMs));
  }
  made.push(chart("New connections", "a minute", at, [minute("connections", series.connections)], asRate));
  byId("charts").replaceChildren(...made);
}

// The charts of the books: which figures are drawn together.
const TOGETHER = {
  bank: [["Money", ["accounts", "outstanding", "held"]], ["Coins", ["issued", "spent", "exchanged"]], ["Cash desk", ["paid_in", "paid_out"]]],
  escrow: [["Decisions", ["committed", "aborted", "settled"]], ["Waiting", ["waiting"]]],
  merchant: [["Credited", ["credited"]], ["Sales", ["sold", "settled", "not_sold"]], ["Waiting", ["open", "unpaid"]]],
};

function books(state) {
  const { books: known, series, role } = state;
  byId("books").hidden = role === "relay";
  if (role === "relay") return;
  if (!known) {
    byId("books-lead").textContent = "The books are being read.";
    return;
  }
  const currency = known.currency ? `In ${known.currency}. ` : "";
  byId("books-lead").textContent = `${currency}Read at ${clock(known.read_ms)}; the next ones are shown after ten more acts of customers, or a day.`;
  const value = (figure) => figure.unit === "money" ? money(figure.value) : grouped(figure.value);
  const inCharts = (TOGETHER[role] ?? []).flatMap(([, names]) => names);
  const others = known.figures.filter((figure) => !inCharts.includes(figure.name));
  byId("figures").hidden = !others.length;
  byId("figures").replaceChildren(...others.map((figure) => element("div", {}, element("dt", {}, figure.title), element("dd", {}, value(figure)))));
  const made = (TOGETHER[role] ?? []).map(([title, names]) => {
    const chosen = known.figures.map((figure, place) => ({ figure, place })).filter(({ figure }) => names.includes(figure.name));
    const lines = chosen.map(({ figure, place }) => ({ name: figure.title, values: series.books.map((values) => values[place] ?? null) }));
    const isMoney = chosen.every(({ figure }) => figure.unit === "money");
    return chart(title, isMoney ? known.currency ?? "" : "in total", series.at_ms, lines, isMoney ? asMoney : asCount);
  });
  byId("books-charts").replaceChildren(...made);
}

function rows(head, body) {
  const made = element("table");
  if (head) made.append(element("thead", {}, element("tr", {}, ...head.map((text, place) => element("th", place ? { scope: "col", class: "number" } : { scope: "col" }, text)))));
  made.append(element("tbody", {}, ...body));
  return made;
}

function queues({ status }) {
  const { load } = status.state;
  const of = [["connections", load.connections], ["handshakes", load.handshakes], ["requests", load.requests], ["requests that end a purchase", load.reserved]];
  byId("queues").replaceChildren(rows(null, of.map(([name, { now, most }]) => {
    const part = most ? now / most : 0;
    const fill = element("i");
    if (now) fill.style.width = `max(2px, ${100 * Math.min(1, part)}%)`;
    const bar = element("div", { class: part > 0.8 ? "bar full" : "bar" }, fill);
    return element("tr", {}, element("th", { scope: "row" }, name), element("td", { class: "wide" }, bar), element("td", { class: "number" }, `${grouped(now)} of ${grouped(most)}`));
  })));
}

function peers({ status }) {
  const known = Object.entries(status.state.peers).filter(([, count]) => count.pinned);
  const body = known.map(([role, count]) => element("tr", {}, element("th", { scope: "row" }, role), ...["pinned", "connected", "failing"].map((what) =>
    // Nobody but a wallet connects to a relay.
    element("td", { class: what === "failing" && count.failing ? "number failing" : "number" }, role === "relay" && what !== "pinned" ? "–" : grouped(count[what])))));
  byId("peers").replaceChildren(known.length ? rows(["role", "pinned", "connected", "not reached"], body) : element("p", { class: "lead" }, "No card is pinned."));
}

function head(state) {
  const title = `Farthing ${TITLES[state.role] ?? state.role}`;
  document.title = title;
  byId("title").textContent = title;
  const [kind, words] = state.stopped ? ["bad", "✗ stopped"] : state.lacks.length ? ["warn", "! not ready"] : ["good", "✓ ready"];
  byId("verdict").className = `verdict ${kind}`;
  byId("verdict").textContent = words;
  byId("lacks").hidden = !state.lacks.length;
  byId("lacks").replaceChildren(...state.lacks.map((lack) => element("li", {}, lack)));
  byId("lead").textContent = `Read at ${clock(state.read_ms)}, once a minute. Rates are means of five minutes.`;
}

let shown = null;
function show(state) {
  shown = state;
  head(state);
  if (!state.status) return;
  tiles(state);
  books(state);
  work(state);
  queues(state);
  peers(state);
  document.body.dataset.drawn = state.role;
}

async function read() {
  try {
    const answer = await fetch("state.json", { cache: "no-store" });
    if (!answer.ok) throw new Error(answer.status);
    show(await answer.json());
  } catch {
    byId("verdict").className = "verdict bad";
    byId("verdict").textContent = "✗ no answer";
    byId("lead").textContent = "The node does not answer. What is below is old. It is asked again every minute.";
  }
}

async function keepReading() {
  await read();
  // The second reading of a node comes soon after its start.
  setTimeout(keepReading, shown && shown.series.at_ms.length < 2 ? SOON_MS : EVERY_MS);
}

let drawnFor = innerWidth;
addEventListener("resize", () => { if (shown && innerWidth !== drawnFor) { drawnFor = innerWidth; show(shown); } });
keepReading();
