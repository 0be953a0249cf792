/* What admins see: the pools, all accounts, the tiers, the jobs that were given up, and a plan of replicas. */

import { askIfSure, ask, attempt, limitsTold, press } from "./dashboard-desk.js";
import { announce, byId, duration, element, number } from "./lib/dom.js";
import { cell, numberCell, row, rowButton, time } from "./lib/tables.js";

const PAGE = 50;
const PLAN_MS = 90_000; // it may be computed for a minute
const STATES = ["ready", "loading", "draining", "cold"];

export class Admin {
  #own = null; // the id of the account that is signed in with
  #tiers = [];
  #accounts = [];
  #letters = [];

  constructor() {
    byId("accounts-more").addEventListener("click", () =>
      press(byId("accounts-more"), byId("accounts-status"), () => this.#loadAccounts(false)));
    byId("letters-more").addEventListener("click", () =>
      press(byId("letters-more"), byId("letters-status"), () => this.#loadLetters(false)));
    byId("plan-form").addEventListener("submit", (event) => {
      event.preventDefault();
      press(byId("make-plan"), byId("plan-status"), () => plan());
    });
  }

  async show(account) {
    this.#own = account.id;
    await attempt(byId("tiers-status"), () => this.#loadTiers());
    await Promise.all([
      this.showPools(),
      attempt(byId("accounts-status"), () => this.#loadAccounts(true)),
      attempt(byId("letters-status"), () => this.#loadLetters(true)),
    ]);
  }

  async showPools() {
    await attempt(byId("pools-status"), async () => {
      const { data } = await ask("/v1/admin/pools");
      const sorted = data.toSorted((one, other) => rank(one) - rank(other)); // within a state, as the catalogue has them
      byId("pool-rows").replaceChildren(...sorted.map(poolRow));
    });
  }

  clear() {
    [this.#tiers, this.#accounts, this.#letters] = [[], [], []];
    for (const id of ["pool-rows", "account-rows", "tier-rows", "letter-rows", "plan-rows"]) byId(id).replaceChildren();
    for (const id of ["accounts-more", "letters-more"]) byId(id).hidden = true;
  }

  /* ---- tiers and accounts ---- */

  async #loadTiers() {
    this.#tiers = (await ask("/v1/admin/tiers")).data;
    byId("tier-rows").replaceChildren(...this.#tiers.map(tierRow));
  }

  async #loadAccounts(anew) {
    const page = await ask(pageAfter("/v1/admin/accounts", anew ? [] : this.#accounts));
    this.#accounts = anew ? page.data : [...this.#accounts, ...page.data];
    byId("accounts-more").hidden = !page.has_more;
    byId("account-rows").replaceChildren(...this.#accounts.map((account) => this.#accountRow(account)));
  }

  #accountRow(account) {
    const suspended = account.suspended !== null;
    const actions = account.id === this.#own ? [] : [
      rowButton(suspended ? "Resume" : "Suspend", account.name, (button) => this.#suspend(account, !suspended, button)),
    ];
    return row(account.id,
      cell("", element("strong", {}, account.name), element("small", {}, element("code", {}, account.id))),
      cell("Tier", this.#tierChoice(account)),
      cell("Since", time(account.created)),
      cell("", element("span", { class: "state", "data-state": suspended ? "cold" : "ready" }, suspended ? "suspended" : "active")),
      cell("", element("div", { class: "actions" }, ...actions)));
  }

  #tierChoice(account) {
    const names = this.#tiers.map(({ id }) => id);
    const options = names.map((name) => element("option", { value: name }, name));
    if (!names.includes(account.tier)) options.unshift(element("option", { value: account.tier, disabled: true }, `${account.tier} (gone)`));
    const select = element("select", { class: "small", "aria-label": `Tier of ${account.name}` }, ...options);
    select.value = account.tier;
    select.addEventListener("change", async () => {
      const tier = select.value;
      const done = await attempt(byId("accounts-status"), () => this.#change(account, { tier }), `${account.name} is of the tier ${tier} now.`);
      if (!done) select.value = account.tier;
    });
    return select;
  }

  #suspend(account, suspended, button) {
    if (!suspended) {
      press(button, byId("accounts-status"), () => this.#change(account, { suspended }), `${account.name} is active again.`);
      return;
    }
    askIfSure({
      title: `Suspend ${account.name}?`,
      text: "Within a second all its keys are refused, until it is resumed. What has begun runs to its end.",
      action: "Suspend",
      work: () => this.#change(account, { suspended }),
    });
  }

  async #change(account, body) {
    const changed = await ask(`/v1/admin/accounts/${encodeURIComponent(account.id)}`, { method: "PATCH", body });
    this.#accounts = this.#accounts.map((each) => (each.id === changed.id ? changed : each));
    const old = [...byId("account-rows").rows].find((each) => each.dataset.id === changed.id);
    old?.replaceWith(this.#accountRow(changed));
  }

  /* ---- jobs that were given up ---- */

  async #loadLetters(anew) {
    const page = await ask(pageAfter("/v1/admin/dead-letters", anew ? [] : this.#letters));
    this.#letters = anew ? page.data : [...this.#letters, ...page.data];
    byId("letters-more").hidden = !page.has_more;
    byId("letter-rows").replaceChildren(...this.#letters.map((letter) => this.#letterRow(letter)));
    byId("letters-note").textContent = this.#letters.length ? "Jobs that killed their workers." : "No job was given up.";
  }

  #letterRow(letter) {
    const account = this.#accounts.find(({ id }) => id === letter.account)?.name ?? letter.account;
    const path = `/v1/admin/dead-letters/${encodeURIComponent(letter.id)}`;
    const gone = () => {
      this.#letters = this.#letters.filter(({ id }) => id !== letter.id);
      [...byId("letter-rows").rows].find((each) => each.dataset.id === letter.id)?.remove();
    };
    const again = (button) => press(button, byId("letters-status"), async () => {
      const { job } = await ask(`${path}/retry`, { method: "POST" });
      gone();
      announce(`It runs again, as ${job}.`);
    }, "It runs again, as a new job.");
    const discard = () => askIfSure({
      title: `Discard ${letter.id}?`,
      text: "Its request is forgotten, and cannot be run again.",
      action: "Discard",
      work: async () => {
        await ask(path, { method: "DELETE" });
        gone();
      },
    });
    return row(letter.id,
      cell("", time(letter.died)),
      cell("", element("code", {}, letter.id), element("small", {}, account)),
      cell("", element("code", {}, letter.model), element("small", {}, letter.tier)),
      cell("", letter.reason),
      cell("", element("div", { class: "actions" },
        rowButton("Run again", letter.id, again), rowButton("Discard", letter.id, discard))));
  }
}

function pageAfter(path, known) {
  return `${path}?limit=${PAGE}${known.length ? `&after=${encodeURIComponent(known.at(-1).id)}` : ""}`;
}

/** The place of its state among STATES: that of its best worker. */
function rank({ workers }) {
  const found = STATES.findIndex((name) => workers[name] > 0);
  return found < 0 ? STATES.length - 1 : found;
}

function poolRow(pool) {
  const state = STATES[rank(pool)];
  const workers = Object.entries(pool.workers).filter(([, count]) => count).map(([name, count]) => `${count} ${name}`);
  const { p50, p99 } = pool.ttft_seconds;
  return row(pool.model,
    cell("", element("code", {}, pool.model)),
    cell("", element("span", { class: "state", "data-state": state }, state)),
    numberCell("Workers", workers.join(", ") || "0"),
    numberCell("Running", number(pool.running)),
    numberCell("Waiting", number(pool.waiting)),
    numberCell("Tokens/s", number(pool.tokens_per_second)),
    numberCell("TTFT p50", duration(p50 === null ? null : p50 * 1000)),
    numberCell("TTFT p99", duration(p99 === null ? null : p99 * 1000)));
}

function tierRow(tier) {
  const limits = limitsTold(tier.limits);
  return row(tier.id,
    cell("", element("strong", {}, tier.id), element("small", {}, tier.description)),
    numberCell("Priority", number(tier.priority)),
    numberCell("Weight", number(tier.weight)),
    numberCell("Reserved", `${number(tier.reserved * 100)} %`),
    cell("", ...(limits.length ? limits : ["no limits"]).map((text) => element("small", {}, text))),
    cell("Models", tier.models ? tier.models.join(", ") : "all"));
}

async function plan() {
  const query = new URLSearchParams({
    gpus: byId("gpus").value, since: byId("since").value, within: byId("within").value, share: String(byId("share").valueAsNumber / 100),
  });
  byId("plan-note").textContent = "Planning…";
  try {
    const made = await ask(`/v1/admin/plan?${query}`, { timeout: PLAN_MS });
    byId("plan-rows").replaceChildren(...made.models.map(planRow));
    byId("plan-note").textContent = conclusion(made);
    announce(byId("plan-note").textContent);
  } catch (error) {
    byId("plan-note").textContent = "There is no plan.";
    throw error;
  }
}

function planRow(model) {
  return row(model.model,
    cell("", element("code", {}, model.model), model.promised ? element("small", {}, "promised") : ""),
    numberCell("Requests", number(model.requests)),
    numberCell("GPUs each", number(model.gpus)),
    numberCell("Min", number(model.min)),
    numberCell("Max", number(model.max)),
    cell("", model.why));
}

function conclusion({ gpus, least_gpus: least, models, goal, unplanned }) {
  const [count, late, hours] = ["requests", "late", "gpu_hours"].map((name) => models.reduce((sum, model) => sum + model[name], 0));
  const share = count ? (1 - late / count) * 100 : 100;
  const gone = unplanned.length ? ` Used, and no models any more: ${unplanned.join(", ")}.` : "";
  return `${number(least)} of ${number(gpus)} GPUs are held at least, in the busiest hour; maxima overlap. With this, `
    + `${share.toFixed(1)} % of what came would have begun within ${goal.wait} s (goal: ${(goal.share * 100).toFixed(1)} %), `
    + `for ${number(hours)} GPU-hours.${gone}`;
}
