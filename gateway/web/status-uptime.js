/* How often each model answered its canaries: a bar for each day or hour, higher the more of them were. */

import { byId, counted, dayOf, element, hourOf, number, setText } from "./lib/dom.js";

const SPANS = {
  days: { field: "day", count: 90, seconds: 86_400, name: "90 days", ago: "89 days ago", now: "today", of: dayOf },
  hours: { field: "hour", count: 72, seconds: 3_600, name: "72 hours", ago: "71 hours ago", now: "now", of: hourOf },
};

export class Uptime {
  #span = "days";
  #histories = new Map(); // by model, from the last answer that had them
  #version = 0; // of the histories
  #now = null; // Unix seconds
  #drawn = ""; // what of all that is shown

  /** Models, with their histories or without, as they are told `now` (Unix seconds). */
  show(models, now) {
    if (models.some(({ uptime }) => uptime)) {
      this.#histories = new Map(models.map(({ id, uptime }) => [id, uptime]));
      this.#version += 1;
    }
    this.#now = now;
    this.#draw();
  }

  /** "days" or "hours". */
  choose(span) {
    this.#span = span;
    for (const button of document.querySelectorAll("[data-span]")) {
      button.setAttribute("aria-pressed", String(button.dataset.span === span));
    }
    if (this.#now !== null) this.#draw();
  }

  #draw() {
    const span = SPANS[this.#span];
    const last = Math.floor(this.#now / span.seconds);
    const wanted = [this.#span, this.#version, last].join(" ");
    if (wanted === this.#drawn) return;
    this.#drawn = wanted;
    const known = new Map([...byId("uptime-rows").children].map((row) => [row.dataset.id, row]));
    const histories = [...this.#histories].map(([id, history]) => [id, history?.[this.#span] ?? []]);
    const rows = histories.filter(([, tallies]) => tallies.length).map(([id, tallies]) => {
      const row = known.get(id) ?? newRow(id);
      fillRow(row, span, parts(span, tallies, last));
      return row;
    });
    byId("uptime-rows").replaceChildren(...rows);
    setText(byId("uptime-note"), rows.length
      ? "A canary is a small request that the gateways send to each model with a ready worker, the way of all "
        + "requests. The higher a bar, the more were answered; where there is none, no canary was sent. Days are UTC’s."
      : `No canary was sent in the last ${span.name}, so nothing is known.`);
  }
}

function newRow(id) {
  return element("article", { class: "uptime", "data-id": id },
    element("h3", {}, element("code", {}, id)),
    element("p", { class: "share" }),
    element("ol", { class: "bars" }),
    element("p", { class: "ends", "aria-hidden": "true" }, element("span"), element("span")));
}

function fillRow(row, span, shown) {
  const [, share, bars, ends] = row.children;
  const sent = shown.reduce((sum, part) => sum + part.sent, 0);
  const answered = shown.reduce((sum, part) => sum + part.answered, 0);
  setText(share, `${percent(answered, sent)} of ${counted(sent, "canary", "canaries")} answered`);
  if (bars.children.length !== shown.length) {
    bars.replaceChildren(...shown.map(() => element("li", {}, element("i"), element("span", { class: "unseen" }))));
  }
  bars.setAttribute("aria-label", `${row.dataset.id}, the last ${span.name}`);
  shown.forEach((part, at) => fillBar(bars.children[at], part));
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

/** One for each of the span's days or hours, the `last` one at the end, those without canaries, too. */
function parts({ field, count, seconds, of }, tallies, last) {
  const known = new Map(tallies.map((tally) => [Date.parse(tally[field]) / 1000, tally]));
  return Array.from({ length: count }, (_, at) => {
    const begin = (last - count + 1 + at) * seconds;
    const { succeeded = 0, failed = 0 } = known.get(begin) ?? {};
    return { name: of(begin * 1000), sent: succeeded + failed, answered: succeeded };
  });
}

/** Cut, not rounded: 100 % is said of nothing that has failed. */
function percent(part, whole) {
  return whole ? `${(Math.floor(part * 10_000 / whole) / 100).toLocaleString("en")} %` : number(null);
}
