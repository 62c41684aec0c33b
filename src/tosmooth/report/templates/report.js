"use strict";
(() => {
  const root = document.documentElement;
  root.classList.replace("no-js", "js");
  const page = JSON.parse(document.getElementById("charts").textContent);
  const darkScheme = window.matchMedia("(prefers-color-scheme: dark)");
  const views = new Map();

  async function draw(box) {
    const key = box.dataset.chart;
    const mode = darkScheme.matches ? "dark" : "light";
    try {
      views.get(key)?.finalize();
      const result = await window.vegaEmbed(box, page.specs[key], {
        mode: "vega-lite",
        actions: false,
        ast: true, // expressions are interpreted: the page's policy allows no eval
        config: page.themes[mode],
        defaultStyle: false,
        renderer: "svg",
        tooltip: { theme: mode },
      });
      views.set(key, result.view);
    } catch (error) {
      box.closest("figure").classList.add("failed"); // the static image takes its place
      console.error(key, error);
    }
  }

  // A chart takes the width of its place, and in a closed fold it has none: it is drawn once the fold is opened.
  const folded = (box) => box.closest("details:not([open])") !== null;
  let drawing = Promise.resolve();
  function drawIn(part, again) {
    root.dataset.charts = "drawing";
    drawing = drawing.then(async () => {
      for (const box of part.querySelectorAll("[data-chart]")) {
        const key = box.dataset.chart;
        if (folded(box)) {
          views.get(key)?.finalize();
          views.delete(key);
        } else if (again || !views.has(key)) await draw(box);
      }
      root.dataset.charts = darkScheme.matches ? "dark" : "light";
    });
  }
  const drawAll = () => drawIn(document, true);
  darkScheme.addEventListener("change", drawAll);
  document.addEventListener("toggle", (event) => event.target.open && drawIn(event.target, false), true);
  drawAll();

  async function save(button) {
    const view = views.get(button.dataset.key);
    if (!view) return;
    const kind = button.dataset.save;
    const background = darkScheme.matches ? "#1c1c1e" : "#ffffff";
    const link = document.createElement("a");
    link.download = `${button.dataset.key}.${kind}`;
    link.href = await view.background(background).toImageURL(kind, 2);
    link.click();
    view.background("transparent");
  }

  // Rows without a value stay last in both directions.
  function sortTable(button) {
    const heading = button.closest("th");
    const table = heading.closest("table");
    const column = heading.cellIndex;
    const descending = heading.getAttribute("aria-sort") === "ascending";
    const keyed = [...table.tBodies[0].rows].map((row) => [row.cells[column].dataset.key ?? "", row]);
    const numeric = keyed.every(([key]) => key === "" || !Number.isNaN(Number(key)));
    keyed.sort(([a], [b]) => {
      if (a === "" || b === "") return (a === "") - (b === "");
      const order = numeric ? Number(a) - Number(b) : a.localeCompare(b, undefined, { numeric: true });
      return descending ? -order : order;
    });
    for (const other of heading.parentElement.cells) other.removeAttribute("aria-sort");
    heading.setAttribute("aria-sort", descending ? "descending" : "ascending");
    table.tBodies[0].append(...keyed.map(([, row]) => row));
  }

  document.addEventListener("keydown", (event) => event.key === "Escape" && event.target.closest("abbr")?.blur());

  document.addEventListener("click", (event) => {
    const button = event.target.closest("button");
    if (button?.dataset.save) save(button);
    else if (button?.closest("th")) sortTable(button);
  });
})();
