// Shows the run that the address names: #c12 for a cell, #r0 for a run without a fault.
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
