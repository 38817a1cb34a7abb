"use strict";
// Shows what happened in the cell that the address names: #c12 for a cell, #r0 for a route without a fault.
const data = JSON.parse(document.getElementById("data").textContent);
const dialog = document.getElementById("cell");
const ROW = 26;
const text = (number) => data.texts[number];

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

// ---- the diagram ----

function diagram(run, width) {
  const height = run.steps.length * ROW;
  const svg = drawn("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": "Sequence diagram; the steps are listed beside it." });
  const column = width / data.parties.length;
  // Left of the middle, so that there is room for words on the right of the last one.
  const x = (party) => column * (party + 0.3);
  const y = (row) => row * ROW + ROW / 2;
  data.parties.forEach((_, party) => svg.append(drawn("line", { class: "life", x1: x(party), x2: x(party), y1: 0, y2: height })));
  run.steps.forEach(([, kind, of, to, arrives, , label], row) => {
    const shape = shapes[data.kinds[kind]];
    shape?.(svg, { row, of, to, arrives, label: text(label), x, y, width });
  });
  return svg;
}

function arrow(svg, { row, of, to, arrives, label, x, y }, answer) {
  const lost = arrives < 0;
  const from = [x(of), y(row) - 4];
  let end = [x(to), lost || arrives === row ? y(row) + 6 : y(arrives)];
  if (lost) end = [from[0] + (end[0] - from[0]) * 0.55, from[1] + 6];
  const kind = `arrow${answer ? " answer" : ""}${lost ? " lost" : ""}`;
  svg.append(drawn("line", { class: kind, x1: from[0], y1: from[1], x2: end[0], y2: end[1] }));
  const [dx, dy] = [end[0] - from[0], end[1] - from[1]];
  if (lost) {
    for (const slope of [1, -1]) svg.append(drawn("line", { class: "arrow lost", x1: end[0] - 5, y1: end[1] - 5 * slope, x2: end[0] + 5, y2: end[1] + 5 * slope }));
  } else {
    const length = Math.hypot(dx, dy), [ux, uy] = [dx / length, dy / length];
    const back = [end[0] - ux * 9, end[1] - uy * 9];
    svg.append(drawn("polygon", { class: "tip", points: `${end[0]},${end[1]} ${back[0] - uy * 4},${back[1] + ux * 4} ${back[0] + uy * 4},${back[1] - ux * 4}` }));
  }
  // Beside the arrow's beginning, so that a long one stands on no other's label.
  const middle = from[0] + Math.sign(dx) * Math.min(Math.abs(dx) / 2, Math.abs(x(1) - x(0)) / 2);
  const at = from[1] + dy * ((middle - from[0]) / dx);
  svg.append(drawn("text", { class: `halo${lost ? " bad" : ""}`, x: middle, y: at - 3, "text-anchor": "middle" }, label));
}

function mark(svg, { row, of, label, x, y }, kind, shape) {
  svg.append(shape(x(of), y(row)));
  svg.append(drawn("text", { class: `halo ${kind}`, x: x(of) + 12, y: y(row) + 4 }, label));
}

const bolt = (x, y) => drawn("path", { class: "bad", d: `M${x + 2} ${y - 10}l-7 11h5l-3 9 8-12h-5z` });
const bars = (x, y) => drawn("path", { class: "bad", d: `M${x - 5} ${y - 6}h4v12h-4zM${x + 1} ${y - 6}h4v12h-4z` });
const diamond = (x, y) => drawn("path", { class: "bad", d: `M${x} ${y - 7}l6 7-6 7-6-7z` });
const ring = (x, y) => drawn("circle", { class: "good", cx: x, cy: y, r: 4.5 });
const shapes = {
  ask: (svg, step) => arrow(svg, step, false),
  answer: (svg, step) => arrow(svg, step, true),
  write: (svg, { row, of, x, y }) => svg.append(drawn("rect", { class: "write", x: x(of) - 4, y: y(row) - 4, width: 8, height: 8 })),
  fault: (svg, step) => mark(svg, step, "bad", { killed: bolt, frozen: bars }[step.label] ?? diamond),
  gaveup: (svg, step) => mark(svg, step, "bad", (x, y) => drawn("circle", { class: "arrow lost", cx: x, cy: y, r: 4.5 })),
  mended: (svg, step) => step.label && mark(svg, step, "good", ring),
  command: (svg, { row, label, width }) => {
    if (!label) return;
    svg.append(drawn("rect", { class: "band", x: 0, y: row * ROW + 3, width, height: ROW - 6, rx: 4 }));
    svg.append(drawn("text", { x: 8, y: row * ROW + ROW / 2 + 4, "font-weight": 650 }, label));
  },
};

// ---- one cell ----

function steps(run) {
  const list = element("ol");
  for (const [ms, kind, , , , words] of run.steps) {
    list.append(element("li", { class: data.kinds[kind], title: text(words) }, element("time", {}, `${(ms / 1000).toFixed(3)} s`), element("span", {}, text(words))));
  }
  return list;
}

function audit(run) {
  const table = element("table", { class: "audit" });
  const head = element("tr");
  for (const name of ["", "promise", "what was counted", "is", "must be"]) head.append(element("th", { scope: "col" }, name));
  table.append(head);
  for (const [promise, what, is, mustBe, holds] of run.checks) {
    const row = element("tr", holds ? {} : { class: "broken" }, element("td", { class: "mark" }, holds ? "✓" : "✗"));
    for (const number of [promise, what, is, mustBe]) row.append(element("td", {}, text(number) || "nothing"));
    table.append(row);
  }
  return table;
}

function show(run, key) {
  const button = (label, words, act) => {
    const made = element("button", { type: "button", "aria-label": words, title: words }, label);
    made.addEventListener("click", act);
    return made;
  };
  const number = Number(key.slice(1)), kind = key[0];
  const all = kind === "c" ? data.cells : data.references;
  const go = (by) => () => { location.hash = `${kind}${(number + by + all.length) % all.length}`; };
  const words = element("div", {},
    element("h2", { id: "cell-title" }, `${text(run.title)} · ${text(run.fault)}`),
    element("p", {}, `${text(run.route)}. ${text(run.about)}`),
    element("p", { class: `verdict ${run.class}` }, `${run.sign} ${text(run.outcome)}`));
  const top = element("div", { class: "top" }, words,
    element("nav", { "aria-label": "Cells" }, button("←", "The cell before", go(-1)), button("→", "The next cell", go(1)), button("Close", "Close", () => dialog.close())));
  const told = element("div", { class: "told" });
  dialog.replaceChildren(top, told);
  if (!dialog.open) dialog.showModal();
  dialog.focus();
  if (run.steps.length) {
    const parties = element("div", { class: "parties", "aria-hidden": "true" }, ...data.parties.map((party) => element("div", {}, party)));
    const left = element("div", {}, parties);
    told.append(element("h3", {}, "What happened"), element("div", { class: "story" }, left, steps(run)));
    const list = told.querySelector("ol");
    left.append(diagram(run, Math.max(300, left.clientWidth)));
    // Each step stands beside its row.
    if (getComputedStyle(list.parentElement).gridTemplateColumns.includes(" ")) list.style.marginTop = `${parties.offsetHeight}px`;
  }
  if (run.checks.length) told.append(element("h3", {}, "The audit"), audit(run));
  dialog.scrollTop = 0;
}

function follow() {
  const key = location.hash.slice(1);
  const run = (key[0] === "c" ? data.cells : key[0] === "r" ? data.references : [])[Number(key.slice(1))];
  if (run) show(run, key);
  else if (dialog.open) dialog.close();
}

dialog.addEventListener("close", () => {
  const cell = document.getElementById(`m${location.hash.slice(2)}`);
  history.replaceState(null, "", location.pathname + location.search);
  cell?.focus();
});
dialog.addEventListener("click", (event) => { if (event.target === dialog) dialog.close(); });
let drawnFor = innerWidth;
addEventListener("resize", () => { if (dialog.open && innerWidth !== drawnFor) { drawnFor = innerWidth; follow(); } });
addEventListener("hashchange", follow);
follow();

// ---- moving in the matrix with arrow keys: one stop for the tabulator, the rest is reached from there ----

for (const table of document.querySelectorAll(".matrix")) {
  const rows = [...table.rows].map((row) => [...row.cells].map((cell) => cell.querySelector("a[id]"))).filter((row) => row.some(Boolean));
  const all = rows.flat().filter(Boolean);
  all.forEach((link, index) => { link.tabIndex = index ? -1 : 0; });
  table.addEventListener("focusin", (event) => {
    if (all.includes(event.target)) for (const link of all) link.tabIndex = link === event.target ? 0 : -1;
  });
  const moves = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] };
  table.addEventListener("keydown", (event) => {
    const move = moves[event.key];
    const row = rows.findIndex((links) => links.includes(event.target));
    if (!move || row < 0) return;
    const column = rows[row].indexOf(event.target);
    const next = rows[row + move[0]]?.[column + move[1]];
    if (next) { next.focus(); event.preventDefault(); }
  });
}
