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
