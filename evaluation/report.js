// The report page: making elements, sorting tables, choosing among figures, links to clips.
// Names come from strangers' files: they only ever become text, never markup.
"use strict";

const report = JSON.parse(document.getElementById("report-data").textContent);
const COLOURS = 8;

/** Make an HTML element; strings among the children become text. */
function el(tag, attributes = {}, ...children) {
  return fill(document.createElement(tag), attributes, children);
}

/** Make an SVG element. */
function svg(tag, attributes = {}, ...children) {
  return fill(document.createElementNS("http://www.w3.org/2000/svg", tag), attributes, children);
}

function fill(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === true) element.setAttribute(name, "");
    else if (value !== false && value != null) element.setAttribute(name, value);
  }
  element.append(...children.filter((child) => child != null));
  return element;
}

/** A name on its own, whichever way it is written. */
const bdi = (name) => el("bdi", {}, name);

const colour = (system) => `s${system % COLOURS}`;

const plural = (count, word, words = `${word}s`) =>
  `${count.toLocaleString("en")} ${count === 1 ? word : words}`;

const option = (value, text) => el("option", { value }, text);

/** A button that looks like a link and shows the clips that ``filter`` describes. */
function showButton(text, filter) {
  const button = el("button", { type: "button", class: "show" }, text);
  button.addEventListener("click", () => showClips(filter));
  return button;
}

// --- sorting ------------------------------------------------------------------------------------

/** Turn the column heads that say how they sort into buttons. */
function makeSortable(table) {
  for (const head of table.querySelectorAll("thead th[data-sort]")) {
    head.dataset.label = head.textContent; // for paper
    const button = el("button", { type: "button" }, ...head.childNodes);
    head.replaceChildren(button);
    head.setAttribute("aria-sort", "none");
    button.addEventListener("click", () => {
      const first = head.dataset.sort === "number" ? "descending" : "ascending";
      const other = first === "ascending" ? "descending" : "ascending";
      const direction = head.getAttribute("aria-sort") === first ? other : first;
      for (const one of head.parentNode.cells) {
        if (one.hasAttribute("aria-sort")) one.setAttribute("aria-sort", "none");
      }
      head.setAttribute("aria-sort", direction);
      sortAgain(table);
    });
  }
}

/** Put the rows into the order that the column heads say; rows without a value come last. */
function sortAgain(table) {
  const head = table.querySelector('thead th[aria-sort$="ending"]');
  if (!head) return;
  const sign = head.getAttribute("aria-sort") === "ascending" ? 1 : -1;
  const numeric = head.dataset.sort === "number";
  const keyed = [...table.tBodies[0].rows].map((row) => {
    const key = row.cells[head.cellIndex].dataset.sort;
    const value = key === undefined || key === "" ? null : numeric ? Number(key) : key;
    return { row, value };
  });
  const compare = numeric ? (a, b) => a - b : new Intl.Collator("en", { numeric: true }).compare;
  keyed.sort((a, b) => {
    if (a.value === null || b.value === null) return (a.value === null) - (b.value === null);
    return sign * compare(a.value, b.value);
  });
  table.tBodies[0].append(...keyed.map(({ row }) => row));
}

// --- what is in the page already ----------------------------------------------------------------

/** Show one of several figures, chosen by a list. */
function makeChoice(holder) {
  const parts = [...holder.children];
  const options = parts.map((part, i) => option(i, part.dataset.title));
  const select = el("select", { "aria-label": holder.dataset.label }, ...options);
  const choose = () => parts.forEach((part, i) => (part.hidden = i !== select.selectedIndex));
  select.addEventListener("change", choose);
  choose();
  holder.before(el("div", { class: "filters" }, el("label", {}, "Metric ", select)));
}

/** Make a number in a table lead to the clips that it counts. */
function makeLink(holder) {
  const { subset, first, firstIs, second, secondIs } = holder.dataset;
  const button = showButton(holder.textContent, { subset, first, firstIs, second, secondIs });
  button.title = "Show these clips";
  holder.replaceChildren(button);
}

/** Let the comparisons be narrowed to those that matter. */
function makeComparisonFilter(holder) {
  const rows = [...holder.querySelectorAll("tbody tr")];
  const text = el("input", { type: "search", autocomplete: "off" });
  const only = el("input", { type: "checkbox" });
  const count = el("output", { class: "count" });
  const form = el(
    "form",
    { class: "filters" },
    el("label", {}, "System or subset contains ", text),
    el("label", { class: "check" }, only, "significant only"),
    count,
  );
  const apply = () => {
    const wanted = text.value.trim().toLowerCase();
    for (const row of rows) {
      const named = row.cells[0].textContent + " " + row.cells[1].textContent;
      row.hidden =
        !named.toLowerCase().includes(wanted) ||
        (only.checked && !row.classList.contains("significant"));
    }
    const shown = rows.filter((row) => !row.hidden).length;
    count.textContent = `${shown} of ${plural(rows.length, "comparison")}`;
  };
  form.addEventListener("input", apply);
  form.addEventListener("submit", (event) => event.preventDefault());
  holder.before(form);
  apply();
}

function start() {
  document.getElementById("no-script").remove();
  document.querySelectorAll(".needs-script").forEach((part) => (part.hidden = false));
  startClasses();
  startConfusions();
  startClips();
  document.querySelectorAll("table.sortable").forEach(makeSortable);
  document.querySelectorAll(".choices").forEach(makeChoice);
  document.querySelectorAll("[data-show]").forEach(makeLink);
  const compared = document.getElementById("comparison-table");
  if (compared) makeComparisonFilter(compared.parentNode);
}
