// ---- one cell: the definition, the finding, and the run ----

function steps(run) {
  const list = element("ol");
  for (const [, kind, , , , words] of run.steps) {
    list.append(element("li", { class: data.kinds[kind], title: text(words) }, element("span", {}, text(words))));
  }
  return list;
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
    element("h2", { id: "cell-title" }, `${text(run.title)} · ${text(run.property)}`),
    element("p", { class: `verdict ${run.class}` }, `${run.sign} ${text(run.outcome)}`));
  const top = element("div", { class: "top" }, words,
    element("nav", { "aria-label": "Cells" }, button("←", "The cell before", go(-1)), button("→", "The next cell", go(1)), button("Close", "Close", () => dialog.close())));
  const told = element("div", { class: "told" });
  dialog.replaceChildren(top, told);
  if (!dialog.open) dialog.showModal();
  dialog.focus();
  told.append(element("p", { class: "definition" }, element("b", {}, kind === "c" ? `Definition: ${text(run.property)}` : "About"), text(run.definition)));
  if (text(run.paper)) told.append(element("p", { class: "definition" }, element("b", {}, "Tygar (1996)"), text(run.paper)));
  const parties = element("div", { class: "parties", "aria-hidden": "true" }, ...run.parties.map((party) => element("div", {}, party)));
  const left = element("div", {}, parties);
  told.append(element("h3", {}, run.fails ? "The shortest run that breaks it" : "A run without a fault"), element("div", { class: "story" }, left, steps(run)));
  const list = told.querySelector("ol");
  left.append(diagram(run, Math.max(300, left.clientWidth)));
  // Each step stands beside its row.
  if (getComputedStyle(list.parentElement).gridTemplateColumns.includes(" ")) list.style.marginTop = `${parties.offsetHeight}px`;
  dialog.scrollTop = 0;
}

