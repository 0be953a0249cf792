/* What admins see: the pools, all accounts, the tiers, the jobs that were given up, and a plan of replicas. */

import { NewAccount } from "./dashboard-account.js";
import { askIfSure, ask, attempt, limitsTold, press } from "./dashboard-desk.js";
import { announce, byId, duration, element, number, setText } from "./lib/dom.js";
import { STATES } from "./lib/models.js";
import { cell, changeRows, nameButton, numberCell, renew, row, rowButton, rowOf, showMore, time } from "./lib/tables.js";

const PAGE = 50;
const PLAN_MS = 90_000; // it may be computed for a minute

export class Admin {
  #own = null; // the id of the account that is signed in with
  #tiers = [];
  #accounts = [];
  #letters = [];
  #form = new NewAccount((account) => this.#addAccount(account));
  #planNote = [...byId("plan-note").childNodes];

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
    const pools = this.showPools();
    await attempt(byId("accounts-status"), () => this.#loadAccounts(true)); // whose names the letters have
    await attempt(byId("letters-status"), () => this.#loadLetters(true));
    await pools;
  }

  async showPools() {
    await attempt(byId("pools-status"), async () => {
      const { data } = await ask("/v1/admin/pools");
      const sorted = data.toSorted((one, other) => rank(one) - rank(other)); // within a state, as the catalogue has them
      renew(byId("pool-rows"), sorted.map(poolRow));
    });
  }

  clear() {
    [this.#tiers, this.#accounts, this.#letters] = [[], [], []];
    for (const id of ["pool-rows", "account-rows", "tier-rows", "letter-rows", "plan-rows"]) byId(id).replaceChildren();
    for (const id of ["accounts-more", "letters-more"]) byId(id).hidden = true;
    byId("plan-note").replaceChildren(...this.#planNote);
    this.#form.clear();
  }

  /* ---- tiers and accounts ---- */

  async #loadTiers() {
    this.#tiers = (await ask("/v1/admin/tiers")).data;
    byId("tier-rows").replaceChildren(...this.#tiers.map(tierRow));
    this.#form.offer(this.#tiers);
  }

  async #loadAccounts(anew) {
    const page = await ask(pageAfter("/v1/admin/accounts", anew ? [] : this.#accounts));
    this.#accounts = anew ? page.data : [...this.#accounts, ...page.data];
    showMore(byId("accounts-more"), page.has_more);
    byId("account-rows").replaceChildren(...this.#accounts.map((account) => this.#accountRow(account)));
    this.#fillLetters();
  }

  /** The newest is the last of all: while there are others to be shown before it, so is it. */
  #addAccount(account) {
    if (!byId("accounts-more").hidden) return;
    this.#accounts.push(account);
    byId("account-rows").append(this.#accountRow(account));
  }

  #accountRow(account) {
    const { id, name, created } = account;
    const suspend = rowButton("Suspend", name, (button) => this.#suspend(id, button));
    const made = row(id,
      cell("", element("strong", {}, name), element("small", {}, element("code", {}, id))),
      cell("Tier", this.#tierChoice(account)),
      cell("Since", time(created)),
      cell("", element("span", { class: "state" })),
      cell("", element("div", { class: "actions" }, ...(id === this.#own ? [] : [suspend]))));
    showAccount(made, account);
    return made;
  }

  #account(id) {
    return this.#accounts.find((each) => each.id === id);
  }

  #tierChoice(account) {
    const names = this.#tiers.map(({ id }) => id);
    const options = names.map((name) => element("option", { value: name }, name));
    if (!names.includes(account.tier)) options.unshift(element("option", { value: account.tier, disabled: true }, `${account.tier} (gone)`));
    const select = element("select", { class: "small", "aria-label": `Tier of ${account.name}` }, ...options);
    select.value = account.tier;
    const showDifference = () => set.setAttribute("aria-disabled", String(select.value === this.#account(account.id)?.tier));
    // Arrow keys change a closed choice at once: it takes a button to mean it.
    const set = rowButton("Set", `the tier of ${account.name}`, async () => {
      const tier = select.value;
      await press(set, byId("accounts-status"), () => this.#change(account, { tier }), `${account.name} is of the tier ${tier} now.`);
      showDifference();
    });
    select.addEventListener("change", showDifference);
    set.setAttribute("aria-disabled", "true");
    return element("div", { class: "actions" }, select, set);
  }

  #suspend(id, button) {
    const account = this.#account(id);
    if (account.suspended !== null) {
      press(button, byId("accounts-status"), () => this.#change(account, { suspended: false }), `${account.name} is active again.`);
      return;
    }
    askIfSure({
      title: `Suspend ${account.name}?`,
      text: "Within a second all its keys are refused, until it is resumed. What has begun runs to its end.",
      action: "Suspend",
      work: () => this.#change(account, { suspended: true }),
    });
  }

  async #change(account, body) {
    const changed = await ask(`/v1/admin/accounts/${encodeURIComponent(account.id)}`, { method: "PATCH", body });
    this.#accounts = this.#accounts.map((each) => (each.id === changed.id ? changed : each));
    const shown = rowOf(byId("account-rows"), changed.id);
    if (shown) showAccount(shown, changed);
  }

  /* ---- jobs that were given up ---- */

  async #loadLetters(anew) {
    const page = await ask(pageAfter("/v1/admin/dead-letters", anew ? [] : this.#letters));
    this.#letters = anew ? page.data : [...this.#letters, ...page.data];
    showMore(byId("letters-more"), page.has_more);
    this.#fillLetters();
  }

  #fillLetters() {
    changeRows(byId("letter-rows"), () =>
      byId("letter-rows").replaceChildren(...this.#letters.map((letter) => this.#letterRow(letter))));
    const none = !this.#letters.length && byId("letters-more").hidden;
    setText(byId("letters-note"), none ? "No job was given up." : "Jobs that killed their workers.");
  }

  #letterRow(letter) {
    const account = this.#account(letter.account)?.name ?? letter.account;
    const path = `/v1/admin/dead-letters/${encodeURIComponent(letter.id)}`;
    const gone = () => {
      this.#letters = this.#letters.filter(({ id }) => id !== letter.id);
      this.#fillLetters();
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

/** What may change of an account is changed in its row. */
function showAccount(shown, { name, suspended }) {
  const state = shown.querySelector(".state");
  state.dataset.state = suspended === null ? "ready" : "cold";
  setText(state, suspended === null ? "active" : "suspended");
  const button = shown.querySelector(":is([data-name=Suspend], [data-name=Resume])");
  if (button) nameButton(button, suspended === null ? "Suspend" : "Resume", name);
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
