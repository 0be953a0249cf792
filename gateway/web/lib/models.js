/* The models of this gateway as they are now, asked for again and again while somebody looks; no key is needed. */

import { call } from "./api.js";

const REFRESH_MS = 2_000;
const STATES = ["ready", "loading", "draining", "cold"];

export class Models {
  list = [];
  at = null; // when it was told
  failed = false; // whether the last answer did not come
  #show;
  #timer = 0;
  #isAsking = false;

  /** `show()` is called after each answer, and after each that did not come. */
  constructor(show) {
    this.#show = show;
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
      const { models } = await call("/v1/status?uptime=false", { key: "" });
      this.list = models.toSorted((a, b) => STATES.indexOf(a.state) - STATES.indexOf(b.state) || a.id.localeCompare(b.id));
      this.at = new Date();
      this.failed = false;
    } catch {
      this.failed = true;
    }
    this.#isAsking = false;
    this.#timer = setTimeout(() => this.#ask(), REFRESH_MS);
    this.#show();
  }
}
