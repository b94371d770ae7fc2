// Every clip: what it is, what each system said of it, and the clip itself.

const PAGE_CLIPS = 20;
const OUTCOMES = {
  "": "anything",
  wrong: "wrong",
  right: "right",
  outside: "wrong, not in its top 5",
  silent: "without scores",
};
const FLAGS = {
  mimeArtist: "mime artist",
  objectRelevant: "object relevant",
  sceneRelevant: "scene relevant",
};
const FLAG_WORDS = { y: "yes", n: "no", u: "unsure", "-": "not annotated" };
const ANY = "any";
const EVERY = "every";

const view = { form: null, shown: [], page: 0, haystacks: null };

function startClips() {
  const { elements } = (view.form = document.getElementById("clip-filters"));
  const names = report.systems.map((system, i) => option(i, system.name));
  const first = [option(ANY, "any system"), option(EVERY, "every system"), ...names];
  elements.first.append(...first);
  elements.second.append(...first.map((one) => one.cloneNode(true)));
  for (const select of view.form.querySelectorAll("select.outcome")) {
    select.append(...Object.entries(OUTCOMES).map(([value, words]) => option(value, words)));
  }
  const classes = report.classes.map((name, i) => option(i, name));
  elements.label.append(option("", "any"), ...classes.slice(0, report.objectSizes.length));
  const answers = report.classes.map((name, i) => [name, i]).sort((a, b) => (a[0] < b[0] ? -1 : 1));
  elements.answer.append(option("", "any"), ...answers.map(([name, i]) => option(i, name)));
  elements.subset.append(...report.subsets.map(({ words }, i) => option(i, words)));
  document.getElementById("media-filter").hidden = !report.clips.media;
  const inquire = () => applyFilters();
  view.form.addEventListener("input", inquire);
  view.form.addEventListener("reset", () => setTimeout(inquire));
  view.form.addEventListener("submit", (event) => event.preventDefault());
  startPager();
  elements.firstIs.value = "wrong";
  applyFilters();
}

// --- which clips --------------------------------------------------------------------------------

/** Say whether a system's answer for a clip is as wanted. */
function isSo(system, clip, outcome) {
  if (outcome === "silent") return system.status[clip] !== "s";
  if (system.counted[clip] === "0") return false;
  const rank = system.rank[clip];
  if (outcome === "right") return rank === 1;
  return outcome === "wrong" ? rank !== 1 : rank === 0 || rank > 5;
}

/** Ask one system, any, or every. */
function ask(who, question) {
  if (who === ANY) return report.systems.some(question);
  if (who === EVERY) return report.systems.every(question);
  return question(report.systems[Number(who)]);
}

/** Text to search in: the clip's id, its class, and what each system took it for. */
function haystacks() {
  view.haystacks ??= report.clips.id.map((id, clip) => {
    const said = report.systems.map((system) => report.classes[system.said[clip * system.width]]);
    return [id, report.classes[report.clips.label[clip]], ...said].join("\n").toLowerCase();
  });
  return view.haystacks;
}

/** Make the question whether a clip is wanted from what the form says. */
function clipFilter(wanted) {
  const { clips } = report;
  const tests = [];
  if (wanted.subset) tests.push((clip) => report.subsets[wanted.subset].holds[clip] === "1");
  if (wanted.label) tests.push((clip) => clips.label[clip] === Number(wanted.label));
  if (wanted.media) tests.push((clip) => Boolean(clips.media[clip]) === (wanted.media === "there"));
  if (wanted.answer) {
    const answer = Number(wanted.answer);
    const said = (clip) => (system) => system.said[clip * system.width] === answer;
    tests.push((clip) => ask(wanted.first, said(clip)));
  }
  for (const one of ["first", "second"]) {
    const outcome = wanted[`${one}Is`];
    if (outcome) tests.push((clip) => ask(wanted[one], (system) => isSo(system, clip, outcome)));
  }
  const text = wanted.text.trim().toLowerCase();
  if (text) tests.push((clip) => haystacks()[clip].includes(text));
  return (clip) => tests.every((test) => test(clip));
}

/** How far a clip is from being right: its best rank; without any, further than all. */
function distance(clip) {
  const ranks = report.systems.map((system) => system.rank[clip] || Infinity);
  return Math.min(...ranks);
}

function sortClips(clips, order) {
  const { label } = report.clips;
  if (order === "label") clips.sort((a, b) => label[a] - label[b] || a - b);
  if (order === "close" || order === "far") {
    const sign = order === "close" ? 1 : -1;
    const keys = new Map(clips.map((clip) => [clip, distance(clip)]));
    const compare = (x, y) => (x === y ? 0 : x < y ? -1 : 1);
    clips.sort((a, b) => sign * compare(keys.get(a), keys.get(b)) || a - b);
  }
}

function applyFilters() {
  const wanted = Object.fromEntries(new FormData(view.form));
  const isWanted = clipFilter(wanted);
  view.shown = report.clips.id.map((_, clip) => clip).filter(isWanted);
  sortClips(view.shown, wanted.order);
  view.page = 0;
  showPage();
}

/** Show the clips that another part of the page counted, and go there. */
function showClips(filter) {
  view.form.reset();
  for (const [name, value] of Object.entries(filter)) {
    if (value != null) view.form.elements[name].value = value;
  }
  applyFilters();
  const heading = document.getElementById("clips");
  heading.scrollIntoView();
  heading.focus({ preventScroll: true });
}

// --- pages --------------------------------------------------------------------------------------

const pages = () => Math.max(1, Math.ceil(view.shown.length / PAGE_CLIPS));

function startPager() {
  const pager = document.getElementById("pager");
  const [previous, next] = pager.querySelectorAll("button");
  const turn = (page) => {
    view.page = Math.min(Math.max(page, 0), pages() - 1);
    showPage();
    document.getElementById("clip-count").scrollIntoView();
  };
  previous.addEventListener("click", () => turn(view.page - 1));
  next.addEventListener("click", () => turn(view.page + 1));
  pager.querySelector("input").addEventListener("change", (event) => {
    turn((Math.trunc(Number(event.target.value)) || 1) - 1);
  });
}

function showPage() {
  const pager = document.getElementById("pager");
  const [previous, next] = pager.querySelectorAll("button");
  const from = view.page * PAGE_CLIPS;
  const clips = view.shown.slice(from, from + PAGE_CLIPS);
  const [found, all] = [view.shown.length, report.clips.id.length];
  const range = found ? `, ${from + 1} to ${from + clips.length} shown` : "";
  document.getElementById("clip-count").textContent =
    `${found.toLocaleString("en")} of ${plural(all, "clip")}${range}`;
  document.getElementById("clip-list").replaceChildren(...clips.map(clipCard));
  pager.hidden = pages() === 1;
  const input = pager.querySelector("input");
  input.max = pages();
  input.value = view.page + 1;
  pager.querySelector("span").textContent = `of ${pages().toLocaleString("en")}`;
  previous.disabled = view.page === 0;
  next.disabled = view.page === pages() - 1;
}

// --- one clip -----------------------------------------------------------------------------------

function clipCard(clip) {
  const { clips } = report;
  const size = report.objectSizes[clips.label[clip]];
  const facts = Object.entries(FLAGS).map(([key, words]) => [words, FLAG_WORDS[clips[key][clip]]]);
  if (size) facts.push(["object of the class", size]);
  facts.push(["split", clips.split[clip]]);
  return el(
    "article",
    { class: clips.media ? "clip with-media" : "clip" },
    clips.media ? player(clip) : null,
    el(
      "div",
      { class: "about" },
      el("h3", {}, bdi(report.classes[clips.label[clip]]), " ", el("code", {}, clips.id[clip])),
      el(
        "dl",
        { class: "flags" },
        ...facts.map(([words, value]) =>
          el("div", { class: value === "yes" && value }, el("dt", {}, words), el("dd", {}, value)),
        ),
      ),
      el("div", { class: "answers" }, ...report.systems.map((_, place) => answer(place, clip))),
    ),
  );
}

function player(clip) {
  const source = report.clips.media[clip];
  const holder = el("div", { class: "player" });
  const fail = (words, role) => {
    holder.classList.add("absent");
    holder.replaceChildren(el("p", { role }, words));
    return holder;
  };
  if (!source) return fail("no file of this clip");
  const video = el("video", {
    src: source,
    controls: true,
    preload: "none",
    playsinline: true,
    loop: true,
    "aria-label": `${report.classes[report.clips.label[clip]]}, ${report.clips.id[clip]}`,
  });
  video.addEventListener("error", () => {
    fail("This file can’t be played: it is gone, or of a kind this browser doesn’t know.", "alert");
  });
  video.addEventListener("play", () => {
    for (const other of document.querySelectorAll("video")) if (other !== video) other.pause();
  });
  return fill(holder, {}, [video]);
}

/** Say in words what became of the clip. */
function verdict(system, clip) {
  const left = system.counted[clip] === "1" ? "counts as wrong" : "left out";
  if (system.status[clip] === "m") return ["silent", `no scores: ${left}`];
  if (system.status[clip] === "u") return ["silent", "not available any more: left out"];
  if (system.status[clip] === "i") return ["silent", `scores are no numbers: ${left}`];
  const tied = system.tied[clip] === "1" ? ", tied" : "";
  const rank = system.rank[clip];
  if (rank === 1) return ["right", "✓ right"];
  return ["wrong", `✗ wrong: rank ${rank} of ${system.ways}${tied}`];
}

function answer(place, clip) {
  const system = report.systems[place];
  const [kind, words] = verdict(system, clip);
  const label = report.clips.label[clip];
  const items = [];
  for (let i = clip * system.width; i < (clip + 1) * system.width; i += 1) {
    const name = system.said[i];
    if (name < 0) break;
    const mark = name === label ? el("span", { class: "mark" }, " ✓ true") : null;
    items.push(
      el(
        "li",
        { class: name === label ? "true" : null },
        el("span", { class: "name" }, bdi(report.classes[name]), mark),
        el("span", { class: "score" }, system.scores[i] === null ? "−∞" : score(system.scores[i])),
      ),
    );
  }
  return el(
    "section",
    { class: `answer ${colour(place)} ${kind}` },
    el("h4", {}, bdi(system.name)),
    el("p", { class: "verdict" }, words),
    items.length ? el("ol", {}, ...items) : null,
  );
}

/** Write a score with three digits. */
const score = (value) => String(Number(value.toPrecision(3))).replace("-", "−");

start();
