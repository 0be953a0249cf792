/* Making an account: an admin's form. Its first key is made with it. */

import { ask, press, showSecret } from "./dashboard-desk.js";
import { byId, element } from "./lib/dom.js";
import { showStatus } from "./lib/fields.js";

const USUAL = "free"; // the tier that most have, as `crofai keys create` takes it

export class NewAccount {
  #made;
  #keyless = null; // an account that was made here, and is still to have its key

  /** `made(account)` is called with each. */
  constructor(made) {
    this.#made = made;
    byId("new-account").addEventListener("click", () => {
      showStatus(byId("account-status"), "");
      byId("account-dialog").showModal();
    });
    byId("account-form").addEventListener("submit", (event) => {
      event.preventDefault();
      press(byId("account-save"), byId("account-status"), () => this.#save().catch(pointOut));
    });
    byId("account-cancel").addEventListener("click", () => {
      this.#reset();
      byId("account-dialog").close();
    });
  }

  /** The tiers that an account may be of. */
  offer(tiers) {
    const choice = byId("account-tier");
    const chosen = choice.value;
    choice.replaceChildren(...tiers.map(({ id }) => element("option", { value: id, selected: id === USUAL }, id)));
    if (tiers.some(({ id }) => id === chosen)) choice.value = chosen;
  }

  clear() {
    this.#reset();
    byId("account-tier").replaceChildren();
  }

  async #save() {
    const account = await this.#account({ name: byId("account-name").value.trim(), tier: byId("account-tier").value });
    const { secret } = await ask(`/v1/admin/accounts/${encodeURIComponent(account.id)}/keys`, { method: "POST", body: {} });
    byId("account-dialog").close();
    this.#reset();
    showSecret(secret, `The key of ${account.name}`);
  }

  /** If only its key could not be made, it is there already. */
  async #account(wanted) {
    const { name, tier } = this.#keyless ?? {};
    if (name === wanted.name && tier === wanted.tier) return this.#keyless;
    this.#keyless = await ask("/v1/admin/accounts", { method: "POST", body: wanted });
    this.#made(this.#keyless);
    return this.#keyless;
  }

  #reset() {
    this.#keyless = null;
    byId("account-form").reset();
  }
}

/** Who typed it is led to the field that the API found fault with. */
function pointOut(error) {
  byId(`account-${error.param}`)?.focus();
  throw error;
}
