/* The models of this gateway as they are now, asked for again and again while somebody looks; no key is needed. */

import { call } from "./api.js";

const REFRESH_MS = 5_000;

/** Of models, the best first. */
export const STATES = ["ready", "loading", "draining", "cold"];

/** By their states, and within one by their names. */
export function inOrder(models) {
  return models.toSorted((a, b) => STATES.indexOf(a.state) - STATES.indexOf(b.state) || a.id.localeCompare(b.id));
}

export class Models {
  list = [];
  at = null; // when it was told
  failed = false; // whether the last answer did not come
  #show;
  #path;
  #every;
  #timer = 0;
  #isAsking = false;

  /** `show()` is called after each answer, and after each that did not come. /v1/models describes them; /v1/status
      tells how fast they are, and costs the gateway no more if it is asked more often. */
  constructor(show, { path = "/v1/models", every = REFRESH_MS } = {}) {
    this.#show = show;
    this.#path = path;
    this.#every = every;
    document.addEventListener("visibilitychange", () => this.#ask());
    this.#ask();
  }

  find(id) {
    return this.list.find((model) => model.id === id);
  }

  of(kind) {
    return this.list.filter((model) => model.kind === kind);
  }

  async #ask() {
    clearTimeout(this.#timer);
    if (this.#isAsking || document.visibilityState !== "visible") return;
    this.#isAsking = true;
    try {
      const { data, models = data } = await call(this.#path, { key: "" });
      this.list = inOrder(models);
      this.at = new Date();
      this.failed = false;
    } catch {
      this.failed = true;
    }
    this.#isAsking = false;
    this.#timer = setTimeout(() => this.#ask(), this.#every);
    this.#show();
  }
}
