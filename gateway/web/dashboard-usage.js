/* What was used: sums by day as a chart, the last requests one by one, and both to take away. */

import { ask, attempt, press } from "./dashboard-desk.js";
import { ApiError } from "./lib/api.js";
import { chart } from "./lib/chart.js";
import { byId, duration, element, number, setText } from "./lib/dom.js";
import { cell, numberCell, row, rowOf, time } from "./lib/tables.js";

const DAY_MS = 86_400_000;
const PAGE = 20;
const MOST_EXPORTED = 1000; // requests: as many as a page of the API has
const SHOWN = { days: "30", by: "model", what: "units" };
const WORTH = {
  units: (sum) => sum.units,
  requests: (sum) => sum.requests,
  tokens: (sum) => sum.prompt_tokens + sum.completion_tokens,
};

export class Usage {
  #shown = { ...SHOWN };
  #sums = [];
  #by = SHOWN.by; // what they are summed up by
  #days = [];

  constructor() {
    for (const name of Object.keys(SHOWN)) {
      for (const button of choices(name)) button.addEventListener("click", () => this.#choose(name, button));
    }
    byId("usage-csv").addEventListener("click", () => this.#take("csv"));
    byId("usage-json").addEventListener("click", () => this.#take("json"));
  }

  async show() {
    await attempt(byId("usage-status"), () => this.#load());
  }

  clear() {
    this.#sums = [];
    byId("chart").replaceChildren();
  }

  #choose(name, chosen) {
    for (const button of choices(name)) button.setAttribute("aria-pressed", String(button === chosen));
    this.#shown[name] = chosen.dataset[name];
    if (name === "what") this.#draw();
    else this.show();
  }

  async #load() {
    const { days, by } = this.#shown;
    const [names, query] = span(Number(days));
    const { data } = await ask(`/v1/usage?by=day,${by}&${query}`);
    if (days !== this.#shown.days || by !== this.#shown.by) return; // another was chosen meanwhile
    this.#days = names;
    this.#sums = data;
    this.#by = by;
    this.#draw();
  }

  #draw() {
    const [by, { what }] = [this.#by, this.#shown];
    const points = this.#sums.map((sum) => {
      const id = by === "key" ? sum.key : sum.model;
      return { day: sum.day, id, name: by === "key" ? sum.key_name ?? id : id, value: WORTH[what](sum) };
    });
    if (this.#days.length) byId("chart").replaceChildren(...chart({ days: this.#days, points, what, by }).filter(Boolean));
  }

  #take(format) {
    const [names, query] = span(Number(this.#shown.days));
    press(byId(`usage-${format}`), byId("usage-status"), async () => {
      const read = format === "csv" ? "text" : "json";
      const told = await ask(`/v1/usage?by=day,model,key&${query}&format=${format}`, { read });
      save(`usage-${names[0]}-to-${names.at(-1)}.${format}`, told, format);
    }, "Exported.");
  }
}

export class Requests {
  #rows = [];
  #before = []; // the ids after which the pages before this one began
  #after = null;
  #more = false; // whether there are older ones
  #names = new Map();
  #reasons = new Map(); // why jobs have failed, by their ids

  constructor() {
    const status = byId("requests-status");
    const go = (button, step) => byId(button).addEventListener("click", async () => {
      await press(byId(button), status, step);
      this.#showEnds();
    });
    go("older", () => this.#load([...this.#before, this.#after], this.#rows.at(-1)?.id ?? null));
    go("newer", () => this.#load(this.#before.slice(0, -1), this.#before.at(-1) ?? null));
    go("requests-again", () => this.#load([], null));
    byId("requests-json").addEventListener("click", () => this.#take());
  }

  async show() {
    await attempt(byId("requests-status"), () => this.#load([], null));
  }

  clear() {
    this.#rows = [];
    this.#before = [];
    this.#after = null;
    this.#more = false;
    this.#names = new Map();
    this.#reasons = new Map();
    this.#fill();
    this.#showEnds();
  }

  /** The names of keys by their ids. */
  name(names) {
    this.#names = names;
    this.#fill();
  }

  async #load(before, after) {
    const page = await ask(`/v1/usage/jobs?limit=${PAGE}&${span(90)[1]}${after ? `&after=${encodeURIComponent(after)}` : ""}`);
    this.#rows = page.data;
    this.#before = before;
    this.#after = after;
    this.#more = page.has_more;
    this.#fill();
    this.#showEnds();
    this.#explain();
  }

  /** Why jobs have failed is known for as long as their logs are kept; then, and where it cannot be asked, nothing is
      said. The log of which the end is older is gone sooner. */
  async #explain() {
    const rows = this.#rows;
    const failed = rows.filter(({ id, state }) => state === "failed" && !this.#reasons.has(id));
    try {
      for (const { id } of failed.toSorted((one, other) => other.ended - one.ended)) {
        const { error } = await ask(`/v1/jobs/${encodeURIComponent(id)}`);
        if (rows !== this.#rows) return;
        if (error) this.#reasons.set(id, new ApiError(error).sentence);
        rowOf(byId("request-rows"), id)?.querySelector(".outcome").after(this.#reason(id));
      }
    } catch { /* the others are gone, too, or somebody has signed out */ }
  }

  /** Who is at a button stays there, even if it leads no further. */
  #showEnds() {
    byId("older").setAttribute("aria-disabled", String(!this.#more));
    byId("newer").setAttribute("aria-disabled", String(!this.#before.length));
  }

  #fill() {
    byId("request-rows").replaceChildren(...this.#rows.map((job) => this.#row(job)));
  }

  #row(job) {
    const image = job.kind === "image";
    return row(job.id,
      cell("", time(job.created, { exact: true })),
      cell("", element("code", {}, job.model)),
      cell("", element("span", { class: "outcome", "data-state": job.state }, job.state), this.#reason(job.id)),
      numberCell("TTFT", duration(job.ttft_seconds === null ? null : job.ttft_seconds * 1000)),
      numberCell("In", image ? "–" : number(job.prompt_tokens)),
      numberCell("Out", image ? `${number(job.images)} × image` : number(job.completion_tokens)),
      numberCell("Units", number(job.units)),
      cell("Key", this.#names.get(job.key) ?? job.key));
  }

  #reason(id) {
    return this.#reasons.has(id) ? element("small", {}, this.#reasons.get(id)) : "";
  }

  #take() {
    press(byId("requests-json"), byId("requests-status"), async () => {
      const [names, query] = span(90);
      const { data } = await ask(`/v1/usage/jobs?limit=${MOST_EXPORTED}&${query}`);
      save(`requests-to-${names.at(-1)}.json`, data, "json");
    }, `Exported: the last ${number(MOST_EXPORTED)} at most.`);
  }
}

/** What the account has used since the day of UTC began. */
export async function showToday() {
  const [, query] = span(1);
  const { data } = await ask(`/v1/usage?by=model&${query}`);
  for (const name of ["requests", "prompt_tokens", "completion_tokens", "images", "units"]) {
    setText(byId(`today-${name}`), number(data.reduce((sum, each) => sum + each[name], 0)));
  }
}

function choices(name) {
  return document.querySelectorAll(`[data-${name}]`);
}

/** The names of the last days of UTC, and the same as the API is asked for them. */
function span(count) {
  const today = Math.floor(Date.now() / DAY_MS) * DAY_MS;
  const names = Array.from({ length: count }, (_, at) => new Date(today - (count - 1 - at) * DAY_MS).toISOString().slice(0, 10));
  return [names, `from=${names[0]}&to=${names.at(-1)}`];
}

/** The browser keeps it as a file; it was fetched with the key in a header, which is in no address. */
function save(name, told, format) {
  const text = format === "csv" ? told : JSON.stringify(told, null, 2);
  const address = URL.createObjectURL(new Blob([text], { type: format === "csv" ? "text/csv" : "application/json" }));
  element("a", { href: address, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(address), 1000);
}
