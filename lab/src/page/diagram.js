"use strict";
// Parts of every page: elements, and the sequence diagram of a run. The parties are the run's own, or those of all runs.
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
  const parties = run.parties ?? data.parties;
  const column = width / parties.length;
  // Left of the middle, so that there is room for words on the right of the last one.
  const x = (party) => column * (party + 0.3);
  const y = (row) => row * ROW + ROW / 2;
  parties.forEach((_, party) => svg.append(drawn("line", { class: "life", x1: x(party), x2: x(party), y1: 0, y2: height })));
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

// About the width of a letter.
const LETTER = 6;

function mark(svg, { row, of, label, x, y, width }, kind, shape) {
  svg.append(shape(x(of), y(row)));
  // Words for which there is no room on the right stand on the left.
  const left = x(of) + 12 + label.length * LETTER > width && x(of) > width / 2;
  const at = left ? { x: x(of) - 12, "text-anchor": "end" } : { x: x(of) + 12 };
  svg.append(drawn("text", { class: `halo ${kind}`, y: y(row) + 4, ...at }, label));
}

const bolt = (x, y) => drawn("path", { class: "bad", d: `M${x + 2} ${y - 10}l-7 11h5l-3 9 8-12h-5z` });
const bars = (x, y) => drawn("path", { class: "bad", d: `M${x - 5} ${y - 6}h4v12h-4zM${x + 1} ${y - 6}h4v12h-4z` });
const diamond = (x, y) => drawn("path", { class: "bad", d: `M${x} ${y - 7}l6 7-6 7-6-7z` });
const ring = (x, y) => drawn("circle", { class: "good", cx: x, cy: y, r: 4.5 });
const shapes = {
  ask: (svg, step) => arrow(svg, step, false),
  answer: (svg, step) => arrow(svg, step, true),
  act: (svg, step) => mark(svg, step, "act", (x, y) => drawn("circle", { class: "acts", cx: x, cy: y, r: 3.5 })),
  write: (svg, { row, of, x, y }) => svg.append(drawn("rect", { class: "write", x: x(of) - 4, y: y(row) - 4, width: 8, height: 8 })),
  fault: (svg, step) => mark(svg, step, "bad", { killed: bolt, frozen: bars, stops: bars }[step.label] ?? diamond),
  gaveup: (svg, step) => mark(svg, step, "bad", (x, y) => drawn("circle", { class: "arrow lost", cx: x, cy: y, r: 4.5 })),
  mended: (svg, step) => step.label && mark(svg, step, "good", ring),
  command: (svg, { row, label, width }) => {
    if (!label) return;
    svg.append(drawn("rect", { class: "band", x: 0, y: row * ROW + 3, width, height: ROW - 6, rx: 4 }));
    svg.append(drawn("text", { x: 8, y: row * ROW + ROW / 2 + 4, "font-weight": 650 }, label));
  },
};
