// Accuracy by class, and which class was taken for which.

const MAP_CLASSES = 60;
const LISTED = 6;
const CELL = 14;
const LABEL_W = 190;
const LABEL_H = 170;
const LABEL_LETTERS = 28;

/** How many clips each class has. */
function clipsPerClass() {
  const counts = new Array(report.classes.length).fill(0);
  for (const label of report.clips.label) counts[label] += 1;
  return counts;
}

// --- accuracy by class --------------------------------------------------------------------------

function startClasses() {
  const form = document.getElementById("class-filters");
  const table = document.getElementById("class-table");
  const counts = clipsPerClass();
  table.tHead.rows[0].append(
    el("th", { scope: "col", "data-sort": "text", class: "words" }, "Class"),
    el("th", { scope: "col", "data-sort": "number", class: "number" }, "Clips"),
    ...report.systems.map((system) =>
      el("th", { scope: "col", "data-sort": "number", class: "bars" }, bdi(system.name)),
    ),
  );
  const apply = () => {
    const wanted = form.elements.text.value.trim().toLowerCase();
    const metric = form.elements.metric.value;
    const shown = report.objectSizes
      .map((_, label) => label)
      .filter((label) => report.classes[label].toLowerCase().includes(wanted));
    table.tBodies[0].replaceChildren(
      ...shown.map((label) => classRow(label, counts[label], metric)),
    );
    form.querySelector("output").textContent =
      `${shown.length} of ${plural(report.objectSizes.length, "class", "classes")}`;
    sortAgain(table);
  };
  form.addEventListener("input", apply);
  form.addEventListener("submit", (event) => event.preventDefault());
  apply();
}

function classRow(label, clips, metric) {
  const name = report.classes[label];
  const filter = { label };
  return el(
    "tr",
    {},
    el("th", { scope: "row", "data-sort": name }, bdi(name)),
    el("td", { class: "number", "data-sort": clips }, showButton(String(clips), filter)),
    ...report.systems.map((system, place) => {
      const value = system.perClass[metric][label];
      const counted = system.classClips[label];
      const cell = el("td", { class: `bars ${colour(place)}`, "data-sort": value });
      if (value === null) return fill(cell, {}, ["–"]);
      const of = counted === clips ? null : el("small", {}, ` of ${plural(counted, "clip")}`);
      return fill(cell, {}, [classBar(value), el("span", {}, value.toFixed(1)), of]);
    }),
  );
}

const classBar = (value) =>
  svg(
    "svg",
    { class: "bar", width: "100%", height: 12, "aria-hidden": "true" },
    svg("rect", { class: "track", width: "100%", height: 8, y: 2 }),
    svg("rect", { class: "ground", width: `${value}%`, height: 8, y: 2 }),
    svg("line", { class: "end", x1: `${value}%`, x2: `${value}%`, y1: 2, y2: 10 }),
  );

// --- confusions ---------------------------------------------------------------------------------

/** Count a system's best classes: of each row its number of clips, and by class in the columns. */
function countConfusions(place, by) {
  const system = report.systems[place];
  const rows = new Map();
  report.clips.label.forEach((label, clip) => {
    const answer = system.said[clip * system.width];
    if (answer < 0) return;
    const [row, column] = by === "label" ? [label, answer] : [answer, label];
    if (!rows.has(row)) rows.set(row, { name: row, clips: 0, right: 0, others: new Map() });
    const found = rows.get(row);
    found.clips += 1;
    if (label === answer) found.right += 1;
    else found.others.set(column, (found.others.get(column) ?? 0) + 1);
  });
  for (const row of rows.values()) {
    row.others = [...row.others].sort((a, b) => b[1] - a[1] || a[0] - b[0]);
  }
  return [...rows.values()].sort((a, b) =>
    report.classes[a.name].localeCompare(report.classes[b.name], "en"),
  );
}

const ANYTHING = () => true;
const CONFUSION_HEADS = {
  label: ["True class", "Clips", "Right", "Most frequent wrong answers"],
  answer: ["Answer", "Times", "Right", "Given most often for"],
};

function startConfusions() {
  const form = document.getElementById("confusion-filters");
  const table = document.getElementById("confusion-table");
  form.elements.system.append(...report.systems.map((system, i) => option(i, system.name)));
  const head = (text, sort) =>
    el("th", { scope: "col", "data-sort": sort, class: sort === "text" ? "words" : sort }, text);
  const relabel = () => {
    const words = CONFUSION_HEADS[form.elements.by.value];
    const kinds = ["text", "number", "number", "number"];
    table.tHead.replaceChildren(el("tr", {}, ...words.map((word, i) => head(word, kinds[i]))));
    table.tHead.rows[0].lastChild.className = "words";
  };
  const apply = () => {
    const place = Number(form.elements.system.value);
    const by = form.elements.by.value;
    const wanted = form.elements.text.value.trim().toLowerCase();
    const rows = countConfusions(place, by);
    const has = (name) => report.classes[name].toLowerCase().includes(wanted);
    const isShown = (row) => has(row.name) || row.others.some(([name]) => has(name));
    const shown = rows.filter(isShown);
    table.caption.replaceChildren("Confusions of ", bdi(report.systems[place].name));
    table.tBodies[0].replaceChildren(
      ...shown.map((row) => confusionRow(row, place, by, has(row.name) ? ANYTHING : has)),
    );
    form.querySelector("output").textContent = `${shown.length} of ${plural(rows.length, "row")}`;
    sortAgain(table);
    drawMap(place, countConfusions(place, "label").filter(isShown));
  };
  relabel();
  form.elements.by.addEventListener("change", () => {
    relabel();
    makeSortable(table);
  });
  form.addEventListener("input", apply);
  form.addEventListener("submit", (event) => event.preventDefault());
  apply();
}

function confusionRow(row, place, by, isWanted) {
  const own = report.classes[row.name];
  const filterOf = (name) => {
    const [label, answer] = by === "label" ? [row.name, name] : [name, row.name];
    return { first: place, label, answer };
  };
  const wanted = row.others.filter(([name]) => isWanted(name));
  const items = wanted.slice(0, LISTED).map(([name, count]) =>
    el("li", {}, bdi(report.classes[name]), " ", showButton(String(count), filterOf(name))),
  );
  const rest = wanted.slice(LISTED).reduce((sum, [, count]) => sum + count, 0);
  if (rest) items.push(el("li", { class: "rest" }, `and ${rest} more`));
  const right = row.right ? showButton(String(row.right), filterOf(row.name)) : "0";
  return el(
    "tr",
    {},
    el("th", { scope: "row", "data-sort": own }, bdi(own)),
    el("td", { class: "number", "data-sort": row.clips }, String(row.clips)),
    el("td", { class: "number", "data-sort": row.right }, right),
    el("td", { class: "words", "data-sort": row.others[0]?.[1] ?? 0 }, el("ul", {}, ...items)),
  );
}

// --- the map ------------------------------------------------------------------------------------

/** How often each class was the answer over rows by true class, the most frequent first. */
function answersOf(rows) {
  const counts = new Map();
  for (const row of rows) {
    for (const [name, count] of [[row.name, row.right], ...row.others]) {
      counts.set(name, (counts.get(name) ?? 0) + count);
    }
  }
  const found = [...counts].filter(([, clips]) => clips);
  return found.map(([name, clips]) => ({ name, clips })).sort((a, b) => b.clips - a.clips);
}

/** Draw true classes against the answers that they got most often. */
function drawMap(place, found) {
  const rows = [...found]
    .sort((a, b) => b.clips - a.clips)
    .slice(0, MAP_CLASSES)
    .sort((a, b) => found.indexOf(a) - found.indexOf(b));
  const answers = answersOf(rows);
  const columns = answers.slice(0, MAP_CLASSES);
  const column = new Map(columns.map(({ name }, i) => [name, i]));
  const cells = [];
  rows.forEach((row, y) => {
    for (const [name, count] of [[row.name, row.right], ...row.others]) {
      if (!column.has(name) || (!count && name !== row.name)) continue;
      cells.push(mapCell(row, name, count, column.get(name), y, place));
    }
  });
  const [inner, down] = [columns.length * CELL, rows.length * CELL];
  const [width, height] = [LABEL_W + inner, LABEL_H + down];
  const box = { width, height, viewBox: `0 0 ${width} ${height}` };
  const map = svg(
    "svg",
    { ...box, role: "img", class: `map ${colour(place)}` },
    svg("title", {}, `Confusions of ${report.systems[place].name}; the table has the numbers`),
    svg("rect", { class: "track", x: LABEL_W, y: LABEL_H, width: inner, height: down }),
    ...rows.map((row, y) =>
      mapLabel(row.name, { x: LABEL_W - 4, y: LABEL_H + (y + 0.75) * CELL, "text-anchor": "end" }),
    ),
    ...columns.map(({ name }, x) => {
      const [left, bottom] = [LABEL_W + (x + 0.75) * CELL, LABEL_H - 4];
      return mapLabel(name, { x: left, y: bottom, transform: `rotate(-90 ${left} ${bottom})` });
    }),
    ...cells,
  );
  document.getElementById("map").replaceChildren(map);
  document.getElementById("map-note").textContent = mapNote(rows, found, columns, answers);
}

function mapNote(rows, found, columns, answers) {
  const others = answers.slice(columns.length).reduce((sum, { clips }) => sum + clips, 0);
  const sentences = [
    `Rows are true classes, columns the ${columns.length} of ${answers.length} answers given most` +
      " often, the most frequent first; a stronger colour is a larger share of the class’s clips," +
      " and a frame marks the right answer.",
    rows.length < found.length && `The ${rows.length} largest classes are shown.`,
    others && `${plural(others, "clip")} got other answers.`,
  ];
  return sentences.filter(Boolean).join(" ");
}

function mapLabel(name, attributes) {
  const whole = report.classes[name];
  const letters = [...whole];
  const fits = letters.length <= LABEL_LETTERS;
  const shown = fits ? whole : `${letters.slice(0, LABEL_LETTERS - 1).join("")}…`;
  return svg("text", attributes, shown, svg("title", {}, whole));
}

function mapCell(row, name, count, x, y, place) {
  const right = name === row.name;
  const words = `${report.classes[row.name]}: ${report.classes[name]} ${count} of ${row.clips}`;
  const cell = svg(
    "rect",
    {
      class: right ? "cell right" : "cell",
      x: LABEL_W + x * CELL + 1,
      y: LABEL_H + y * CELL + 1,
      width: CELL - 2,
      height: CELL - 2,
      "fill-opacity": count ? (0.2 + (0.8 * count) / row.clips).toFixed(2) : 0,
    },
    svg("title", {}, words),
  );
  cell.addEventListener("click", () => showClips({ first: place, label: row.name, answer: name }));
  return cell;
}
