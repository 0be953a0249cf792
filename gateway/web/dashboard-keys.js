/* The keys of the account: listed, made, changed and revoked. */

import { askIfSure, ask, attempt, end, LIMITS, limitName, limitsTold, press, showSecret } from "./dashboard-desk.js";
import { announce, byId, element } from "./lib/dom.js";
import { showStatus } from "./lib/fields.js";
import { cell, changeRows, placeOf, row, rowButton, time } from "./lib/tables.js";

const PAGE = 1000; // as many as the API gives at once

export class Keys {
  #keys = [];
  #old = false; // whether those that have ended are shown
  #own = null; // the id of the key that is signed in with
  #changed = null; // the key that the dialog changes; null while it makes one
  #wasOpen = false;
  #told;

  /** `told(names)` is called with the names of all keys by id. */
  constructor(told) {
    this.#told = told;
    for (const name of LIMITS) {
      byId("key-limits").append(element("div", { class: "field" },
        element("label", { for: `limit-${name}` }, limitName(name)),
        element("input", { id: `limit-${name}`, type: "number", min: 1, max: 1e13, step: 1, inputmode: "numeric" })));
    }
    byId("new-key").addEventListener("click", () => this.#open(null));
    byId("keys-old").addEventListener("click", () => this.#showOld());
    byId("key-form").addEventListener("submit", (event) => {
      event.preventDefault();
      this.#save();
    });
    byId("key-cancel").addEventListener("click", () => {
      byId("key-form").reset();
      byId("key-dialog").close();
    });
  }

  async show(account) {
    this.#own = account.key.id;
    await attempt(byId("keys-status"), () => this.#load());
    if (this.#wasOpen) byId("key-dialog").showModal();
    this.#wasOpen = false;
  }

  /** Before somebody has to sign in again: what is typed into the dialog is there afterwards. */
  pause() {
    this.#wasOpen = byId("key-dialog").open;
  }

  clear() {
    this.#keys = [];
    this.#wasOpen = false;
    this.#changed = null;
    byId("key-form").reset();
    byId("key-dialog-title").textContent = "";
    byId("key-rows").replaceChildren();
  }

  /** All of them: the API has the oldest first, and who looks for a key mostly looks for a new one. */
  async #load() {
    const keys = [];
    for (let more = true; more;) {
      const after = keys.length ? `&after=${encodeURIComponent(keys.at(-1).id)}` : "";
      const page = await ask(`/v1/keys?limit=${PAGE}${after}`);
      keys.push(...page.data);
      more = page.has_more;
    }
    this.#keys = keys.reverse().sort((one, other) => ended(one) - ended(other));
    this.#fill();
  }

  #fill() {
    const shown = this.#keys.filter((key) => this.#old || !ended(key));
    changeRows(byId("key-rows"), () => byId("key-rows").replaceChildren(...shown.map((key) => this.#row(key))));
    byId("keys-old").hidden = !this.#keys.some(ended);
    this.#told(new Map(this.#keys.map(({ id, name }) => [id, name])));
  }

  #showOld() {
    this.#old = !this.#old;
    byId("keys-old").setAttribute("aria-pressed", String(this.#old));
    this.#fill();
  }

  #row(key) {
    const name = element("div", {}, element("strong", {}, key.name), element("small", {}, element("code", {}, key.id)));
    const actions = ended(key) ? [] : [
      rowButton("Change", key.name, () => this.#open(key)),
      rowButton("Revoke", key.name, () => this.#revoke(key)),
    ];
    return row(key.id,
      cell("", name),
      cell("", ...this.#state(key)),
      cell("For", ...purpose(key)),
      cell("Last used", key.last_used === null ? "never" : time(key.last_used)),
      cell("", element("div", { class: "actions" }, ...actions)));
  }

  #state(key) {
    const notes = [];
    if (key.admin) notes.push("admin");
    if (key.id === this.#own) notes.push("this one");
    const name = key.revoked !== null ? "revoked" : ended(key) ? "ended" : "valid";
    const ends = key.expires !== null && key.revoked === null ? [element("small", {}, ended(key) ? "ended " : "ends ", time(key.expires))] : [];
    return [
      element("span", { class: "state", "data-state": name === "valid" ? "ready" : "cold" }, name),
      notes.length ? element("small", {}, notes.join(", ")) : "",
      ...ends,
    ];
  }

  /* ---- making and changing ---- */

  #open(key) {
    const other = key?.id !== this.#changed?.id;
    this.#changed = key;
    byId("key-dialog-title").textContent = key ? `Change ${key.name}` : "New key";
    byId("key-save").textContent = key ? "Save" : "Create";
    if (other || key) this.#write(key); // what was typed for a new key, and not sent, is still there
    byId("key-expires").min = localTime(Date.now() / 1000 + 60); // so that the browser tells of an end that is over, by its date
    showStatus(byId("key-status"), "");
    byId("key-dialog").addEventListener("close", placeOf(document.activeElement), { once: true });
    byId("key-dialog").showModal();
  }

  #write(key) {
    byId("key-form").reset();
    byId("key-name").value = key?.name ?? "";
    for (const name of LIMITS) byId(`limit-${name}`).value = key?.limits?.[name] ?? "";
    byId("key-models").value = (key?.models ?? []).join("\n");
    byId("key-tiers").value = (key?.tiers ?? []).join("\n");
    byId("key-expires").value = key?.expires ? localTime(key.expires) : "";
  }

  #save() {
    const changed = this.#changed;
    press(byId("key-save"), byId("key-status"), async () => {
      const said = typed();
      let secret = null;
      if (changed) {
        await ask(`/v1/keys/${encodeURIComponent(changed.id)}`, { method: "PATCH", body: differences(changed, said) });
        announce("The key is changed.");
      } else {
        const given = Object.fromEntries(Object.entries(said).filter(([, value]) => value !== null));
        ({ secret } = await ask("/v1/keys", { method: "POST", body: given }));
      }
      byId("key-dialog").close();
      if (secret) showSecret(secret, "Your new key");
      this.#changed = null;
      byId("key-form").reset();
      await attempt(byId("keys-status"), () => this.#load());
    });
  }

  #revoke(key) {
    const own = key.id === this.#own ? " It is the one that you are signed in with here." : "";
    askIfSure({
      title: `Revoke ${key.name}?`,
      text: `Within a second requests with it are refused, for good.${own}`,
      action: "Revoke",
      work: async (force) => {
        await ask(`/v1/keys/${encodeURIComponent(key.id)}${force ? "?force=true" : ""}`, { method: "DELETE" });
        if (key.id === this.#own) {
          end("This key is revoked.");
          return;
        }
        announce("The key is revoked.");
        await attempt(byId("keys-status"), () => this.#load());
      },
    });
  }
}

function ended(key) {
  return key.revoked !== null || (key.expires !== null && key.expires * 1000 <= Date.now());
}

function purpose({ models, tiers, limits }) {
  const said = [
    models && `models: ${models.join(", ") || "none"}`,
    tiers && `tiers: ${tiers.join(", ") || "none"}`,
    ...limitsTold(limits),
  ].filter(Boolean);
  return said.length ? said.map((text) => element("small", {}, text)) : ["all"];
}

/** What the dialog's fields say; null where nothing is. */
function typed() {
  const limits = LIMITS.map((name) => [name, byId(`limit-${name}`).valueAsNumber]).filter(([, value]) => !Number.isNaN(value));
  const expires = new Date(byId("key-expires").value).valueOf();
  return {
    name: byId("key-name").value.trim() || null,
    limits: limits.length ? Object.fromEntries(limits) : null,
    models: lines("key-models"),
    tiers: lines("key-tiers"),
    expires: Number.isNaN(expires) ? null : expires / 1000,
  };
}

function lines(id) {
  const said = byId(id).value.split(/[\n,]/).map((line) => line.trim()).filter(Boolean);
  return said.length ? said : null;
}

/** Only what is to be other than it is: a key may name models that are gone, which need not be said again. */
function differences(key, said) {
  const before = {
    ...key,
    limits: key.limits && Object.fromEntries(LIMITS.map((name) => [name, key.limits[name]]).filter(([, limit]) => limit !== null)),
    expires: key.expires && new Date(localTime(key.expires)).valueOf() / 1000,
  };
  const other = Object.entries(said).filter(([name, value]) => JSON.stringify(value) !== JSON.stringify(before[name] ?? null));
  return Object.fromEntries(other.filter(([name, value]) => name !== "name" || value !== null));
}

/** As a field of times has it. */
function localTime(seconds) {
  const date = new Date(seconds * 1000);
  const two = (part) => String(part).padStart(2, "0");
  return `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())}T${two(date.getHours())}:${two(date.getMinutes())}`;
}
