"use strict";
(async () => {
  const started = performance.now();
  const specs = JSON.parse(document.getElementById("specs").textContent);
  const STORE = "shown_store";
  const hidden = new Set();
  // Of each chart with runs its view, and the tuples that its selection starts with: one a run.
  const charts = [];
  const drawn = [];

  function apply() {
    for (const { view, tuples } of charts) {
      const wanted = tuples.filter((tuple) => !hidden.has(tuple.values[0]));
      const now = view.data(STORE).map((tuple) => tuple.values[0]);
      if (wanted.length !== now.length || wanted.some((tuple) => !now.includes(tuple.values[0]))) {
        view.data(STORE, wanted.map(({ unit, fields, values }) => ({ unit, fields, values })));
        view.runAsync();
      }
    }
    for (const button of document.querySelectorAll("button[data-run]")) {
      button.setAttribute("aria-pressed", String(!hidden.has(button.dataset.run)));
    }
  }

  function follow(view) {
    const tuples = view.data(STORE).map(({ unit, fields, values }) => ({ unit, fields, values }));
    charts.push({ view, tuples });
    // A click on one chart's legend is for all charts.
    view.addDataListener(STORE, (name, value) => {
      const shown = value.map((tuple) => tuple.values[0]);
      for (const { values: [run] } of tuples) {
        if (shown.includes(run)) hidden.delete(run);
        else hidden.add(run);
      }
      setTimeout(apply);
    });
  }

  // Paper has another width than the window: 340 CSS pixels are half of A4 within its margins.
  addEventListener("beforeprint", () => {
    for (const { element, view } of drawn) {
      view.signal("width", element.closest(".figures") ? 340 : 680).run();
    }
  });
  addEventListener("afterprint", () => dispatchEvent(new Event("resize")));

  for (const button of document.querySelectorAll("button[data-run]")) {
    button.addEventListener("click", () => {
      const run = button.dataset.run;
      if (!hidden.delete(run)) hidden.add(run);
      apply();
    });
  }
  for (const group of document.querySelectorAll(".toggles")) group.hidden = false;

  for (const element of document.querySelectorAll("[data-figure]")) {
    const { view } = await window.vegaEmbed(element, specs[element.dataset.figure], {
      mode: "vega-lite",
      renderer: "svg",
      actions: false,
    });
    drawn.push({ element, view });
    if ("runs" in element.dataset) follow(view);
  }
  document.documentElement.dataset.drawn = String(Math.round(performance.now()));
  document.documentElement.dataset.drawing = String(Math.round(performance.now() - started));
})();
