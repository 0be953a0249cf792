/* The page /status: asks GET /v1/status every other second while somebody looks, and shows what it says.

   What comes back is shown as text (textContent), never as HTML. A number that was not measured is a dash. */

const REFRESH_MS = 2_000;
const TIMEOUT_MS = 8_000;
const HISTORY_MS = 60_000; // the canaries' history is most of the answer, and changes little
const WINDOW_MS = 120_000; // of the line
const STATES = ["ready", "loading", "draining", "cold"];
const SPANS = {
  days: { field: "day", count: 90, seconds: 86_400, name: "90 days", ago: "89 days ago", now: "today" },
  hours: { field: "hour", count: 72, seconds: 3_600, name: "72 hours", ago: "71 hours ago", now: "now" },
};
const UNKNOWN = "–";
const NOBODY_LOOKS = new Error("nobody looks");

const byId = (id) => document.getElementById(id);
const stillness = matchMedia("(prefers-reduced-motion: reduce)");

/* `told` is the last answer, `heard` when it came; `histories` are by model, from the last whole one, and `bars` says
   what of them is shown. */
const seen = { told: null, heard: null, histories: new Map(), historyAt: -Infinity, span: "days", bars: "", samples: [] };
const asking = { request: null, timer: 0 };

function start() {
  for (const button of document.querySelectorAll("[data-span]")) {
    button.addEventListener("click", () => chooseSpan(button.dataset.span));
  }
  document.addEventListener("visibilitychange", () => (isSeen() ? ask() : rest()));
  stillness.addEventListener("change", drawLine);
  if (isSeen()) ask();
}

function isSeen() {
  return document.visibilityState === "visible";
}

/* ---- asking ---- */

/** Asks, shows what comes of it, and does so again later, for as long as the page is seen. */
async function ask() {
  clearTimeout(asking.timer);
  if (asking.request) return;
  const request = new AbortController();
  asking.request = request;
  const begun = performance.now();
  const timeout = setTimeout(() => request.abort(new Trouble()), TIMEOUT_MS);
  try {
    show(await read(request.signal, begun - seen.historyAt >= HISTORY_MS), begun);
  } catch (error) {
    if (error instanceof Trouble) showTrouble(error.message);
    else if (error !== NOBODY_LOOKS) throw error;
  } finally {
    clearTimeout(timeout);
    asking.request = null;
    if (isSeen()) asking.timer = setTimeout(ask, Math.max(0, REFRESH_MS - (performance.now() - begun)));
  }
}

/** Nobody looks: what is under way is dropped, too. */
function rest() {
  clearTimeout(asking.timer);
  asking.request?.abort(NOBODY_LOOKS);
}

/** The API's answer; `whole` is with the canaries' history. Throws Trouble, or why the signal was given. */
async function read(signal, whole) {
  let answer;
  try {
    answer = await fetch(`/v1/status?uptime=${whole}`, { signal, cache: "no-store" });
    if (answer.ok) return await answer.json();
  } catch {
    throw signal.aborted ? signal.reason : new Trouble();
  }
  throw new Trouble(`The API answers with status ${answer.status}.`);
}

class Trouble extends Error {
  constructor(message = "The API cannot be reached.") {
    super(message);
  }
}

/* ---- showing ---- */

function show(told, begun) {
  seen.told = told;
  seen.heard = new Date();
  if (told.models.some((model) => model.uptime)) {
    seen.histories = new Map(told.models.map(({ id, uptime }) => [id, uptime]));
    seen.historyAt = begun;
  }
  told.models.sort((a, b) => STATES.indexOf(a.state) - STATES.indexOf(b.state) || a.id.localeCompare(b.id));
  byId("main").classList.remove("stale");
  setText(byId("news"), "");
  byId("news").classList.remove("bad");
  showCluster(told);
  showModels(told.models);
  showUptime();
  showSpeeds(told.models);
  setText(byId("as-of"), `As of ${seen.heard.toLocaleTimeString()}. `);
}

/** Never lets old news pass for the present. */
function showTrouble(reason) {
  const then = seen.heard ? ` Below is what it said at ${seen.heard.toLocaleTimeString()}.` : "";
  byId("main").classList.toggle("stale", Boolean(seen.told));
  setText(byId("news"), `${reason}${then} The page tries again by itself.`);
  byId("news").classList.add("bad");
  for (const id of ["speed", "ready", "workers", "running", "waiting"]) setText(byId(id), UNKNOWN);
  sample(null);
}

function showCluster({ cluster, models }) {
  const ready = models.filter(({ state }) => state === "ready").length;
  setText(byId("speed"), number(cluster.tokens_per_second));
  setText(byId("ready"), `${ready} of ${models.length}`);
  for (const name of ["workers", "running", "waiting"]) setText(byId(name), number(cluster[name]));
  sample(cluster.tokens_per_second);
}

function showModels(models) {
  fillRows(byId("model-rows"), models, 6, (cells, model) => {
    const [name, state, workers, running, waiting, speed] = cells;
    setName(name, model);
    const mark = state.firstChild ?? state.appendChild(element("span", "state"));
    mark.dataset.state = model.state;
    setText(mark, model.state);
    setNumber(workers, model.workers, model.workers === 1 ? "worker" : "workers");
    setNumber(running, model.running, "running");
    setNumber(waiting, model.waiting, "waiting");
    setNumber(speed, model.tokens_per_second, "tokens/s");
  });
  setText(byId("models-note"), models.length
    ? "Tokens/s is what all workers of a model make at the moment. A cold model has no worker, and images have no tokens."
    : "The catalogue is empty.");
}

function showSpeeds(models) {
  const measured = models.filter(({ ever }) => ever.streams);
  fillRows(byId("speed-rows"), measured, 5, (cells, { id, kind, speed, ever }) => {
    const [name, average, low, high, sizes] = cells;
    setName(name, { id, kind });
    setNumber(average, speed.average, "on average");
    setNumber(low, speed.low, "at the lowest");
    setNumber(high, ever.high, "ever seen");
    if (!sizes.firstChild) sizes.append(element("span"), element("small"));
    sizes.className = "sizes";
    setText(sizes.firstChild, `${counted(speed.streams, "stream")} in ${speed.window_seconds / 3600} h`);
    setText(sizes.lastChild, `${counted(ever.streams, "stream")} since ${dayOf(ever.since * 1000)}`);
  });
  const without = models.filter(({ kind, ever }) => kind === "chat" && !ever.streams).length;
  const about = "Tokens/s of single streams of 16 tokens or more, from their first token to their last, by real traffic: "
    + "average and low of the last hours, the highest of all time.";
  const missing = without ? ` Nothing was measured yet of ${counted(without, measured.length ? "other model" : "model")}.` : "";
  setText(byId("speeds-note"), about + missing);
}

/* ---- uptime: a bar for each day or hour, higher the more of its canaries were answered ---- */

function chooseSpan(name) {
  seen.span = name;
  for (const button of document.querySelectorAll("[data-span]")) {
    button.setAttribute("aria-pressed", String(button.dataset.span === name));
  }
  if (seen.told) showUptime();
}

function showUptime() {
  const span = SPANS[seen.span];
  const known = seen.told.models.filter(({ id }) => seen.histories.get(id)?.[seen.span].length);
  const bars = [seen.span, seen.historyAt, Math.floor(seen.told.now / span.seconds), ...known.map(({ id }) => id)].join(" ");
  if (bars === seen.bars) return;
  seen.bars = bars;
  const rows = new Map([...byId("uptime-rows").children].map((row) => [row.dataset.id, row]));
  const shown = known.map(({ id }) => {
    const row = rows.get(id) ?? newUptime(id);
    fillUptime(row, span, tallies(span, seen.histories.get(id)[seen.span], seen.told.now));
    return row;
  });
  replaceIfOther(byId("uptime-rows"), shown);
  setText(byId("uptime-note"), known.length
    ? "A canary is a small request that the gateways send to each model with a ready worker, the way of all requests. "
      + "The higher a bar, the more were answered; where there is none, no canary was sent. Days are UTC’s."
    : `No canary was sent in the last ${span.name}, so nothing is known.`);
}

function newUptime(id) {
  const row = element("article", "uptime");
  row.dataset.id = id;
  const title = element("h3");
  title.append(element("code", "", id));
  const ends = element("p", "ends");
  ends.setAttribute("aria-hidden", "true");
  ends.append(element("span"), element("span"));
  row.append(title, element("p", "share"), element("ol", "bars"), ends);
  return row;
}

function fillUptime(row, span, parts) {
  const [, share, bars, ends] = row.children;
  const sent = parts.reduce((sum, part) => sum + part.sent, 0);
  const answered = parts.reduce((sum, part) => sum + part.answered, 0);
  setText(share, `${percent(answered, sent)} of ${counted(sent, "canary", "canaries")} answered`);
  if (bars.children.length !== parts.length) {
    bars.replaceChildren(...parts.map(() => element("li")));
    for (const bar of bars.children) bar.append(element("i"), element("span", "unseen"));
  }
  bars.setAttribute("aria-label", `${row.dataset.id}, the last ${span.name}`);
  parts.forEach((part, at) => fillBar(bars.children[at], part));
  setText(ends.firstChild, span.ago);
  setText(ends.lastChild, span.now);
}

function fillBar(bar, { name, sent, answered }) {
  const text = `${name}: ${sent ? `${number(answered)} of ${number(sent)} answered` : "no canaries"}`;
  if (bar.title === text) return;
  bar.title = text;
  bar.lastChild.textContent = text;
  bar.dataset.level = !sent ? "none" : answered === sent ? "all" : answered * 2 >= sent ? "most" : "few";
  bar.firstChild.style.height = sent ? `${25 + 75 * (answered / sent)}%` : "";
}

/** One part for each of the span's days or hours until `now` (Unix seconds), those without canaries, too. */
function tallies({ field, count, seconds }, found, now) {
  const known = new Map(found.map((tally) => [Date.parse(tally[field]) / 1000, tally]));
  const last = Math.floor(now / seconds);
  return Array.from({ length: count }, (_, at) => {
    const begin = (last - count + 1 + at) * seconds;
    const { succeeded = 0, failed = 0 } = known.get(begin) ?? {};
    return { name: (field === "day" ? dayOf : hourOf)(begin * 1000), sent: succeeded + failed, answered: succeeded };
  });
}

/* ---- the line: tokens/s of the last two minutes; each point comes in from the right ---- */

const WIDTH = 600;
const HEIGHT = 96;
const STEP = WIDTH * REFRESH_MS / WINDOW_MS;

/** One more point; null is a gap. */
function sample(value) {
  const now = performance.now();
  seen.samples = seen.samples.filter(({ at }) => at > now - WINDOW_MS - 2 * REFRESH_MS);
  seen.samples.push({ at: now, value });
  drawLine();
}

function drawLine() {
  if (!seen.samples.length) return;
  const moves = !stillness.matches;
  const newest = seen.samples.at(-1).at;
  const highest = Math.max(0, ...seen.samples.map(({ value }) => value ?? 0));
  const place = ({ at, value }) => [
    WIDTH + (moves ? STEP : 0) - 1 - (newest - at) / WINDOW_MS * WIDTH,
    HEIGHT - 3 - (value / Math.max(highest, 1)) * (HEIGHT - 10),
  ].map((part) => part.toFixed(1));
  const parts = pieces(seen.samples).map((piece) => piece.map(place));
  byId("trace").setAttribute("d", parts.map((part) => `M${part.join("L")}h.01`).join(""));
  byId("area").setAttribute("d", parts.map((part) =>
    `M${part[0][0]},${HEIGHT}L${part.join("L")}L${part.at(-1)[0]},${HEIGHT}Z`).join(""));
  for (const motion of byId("moving").getAnimations()) motion.cancel();
  if (moves) {
    byId("moving").animate(
      [{ transform: "translateX(0)" }, { transform: `translateX(${-STEP}px)` }],
      { duration: REFRESH_MS, easing: "linear", fill: "forwards" },
    );
  }
  setText(byId("span"), highest > 0
    ? `The last two minutes, for as long as this page is open. The highest is ${number(highest)}.`
    : "The last two minutes, for as long as this page is open.");
}

/** Runs of points that follow each other, without those of which nothing is known. */
function pieces(samples) {
  const found = [];
  let last = null;
  for (const point of samples) {
    if (point.value !== null) {
      if (last === null || point.at - last.at > 3 * REFRESH_MS) found.push([]);
      found.at(-1).push(point);
      last = point;
    } else last = null;
  }
  return found;
}

/* ---- small things ---- */

/** One row for each model; those that are there stay, so that a refresh does not undo a selection of text. */
function fillRows(body, models, width, fill) {
  const known = new Map([...body.rows].map((row) => [row.dataset.id, row]));
  const rows = models.map((model) => {
    const row = known.get(model.id) ?? newRow(model.id, width);
    fill([...row.cells], model);
    return row;
  });
  replaceIfOther(body, rows);
}

/** On narrow screens the tables are no tables to CSS; with roles they stay tables to screen readers. */
function newRow(id, width) {
  const row = element("tr");
  row.dataset.id = id;
  row.setAttribute("role", "row");
  row.append(...Array.from({ length: width }, () => element("td")));
  for (const cell of row.cells) cell.setAttribute("role", "cell");
  return row;
}

function replaceIfOther(parent, children) {
  if (children.length === parent.children.length && children.every((child, at) => child === parent.children[at])) return;
  parent.replaceChildren(...children);
}

function setName(cell, { id, kind }) {
  if (cell.firstChild) return;
  cell.append(element("code", "", id), element("small", "", kind));
}

/** The unit is shown where the table's head is not. */
function setNumber(cell, value, unit) {
  cell.className = "number";
  cell.dataset.unit = unit;
  setText(cell, number(value));
}

function number(value) {
  if (value === null || value === undefined) return UNKNOWN;
  return value.toLocaleString("en", { maximumFractionDigits: value < 10 ? 1 : 0 });
}

/** Cut, not rounded: 100 % is said of nothing that has failed. */
function percent(part, whole) {
  if (!whole) return UNKNOWN;
  return `${(Math.floor(part * 10_000 / whole) / 100).toLocaleString("en")} %`;
}

function counted(count, one, many = `${one}s`) {
  return `${number(count)} ${count === 1 ? one : many}`;
}

const DAY_FORM = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "short", year: "numeric", timeZone: "UTC" });
const HOUR_FORM = new Intl.DateTimeFormat("en-GB", { weekday: "short", hour: "2-digit", minute: "2-digit" });

function dayOf(milliseconds) {
  return DAY_FORM.format(milliseconds);
}

function hourOf(milliseconds) {
  return HOUR_FORM.format(milliseconds);
}

function element(tag, className = "", text = "") {
  const made = document.createElement(tag);
  if (className) made.className = className;
  if (text) made.textContent = text;
  return made;
}

function setText(target, text) {
  if (target.textContent !== text) target.textContent = text;
}

start();
