/* The models of this gateway, asked for again and again while somebody looks; no key is needed. */

import { call } from "./api.js";

const REFRESH_MS = 5_000;
const SPEED_FRESH_MS = 30_000; // it is an average of hours

const STATES = ["ready", "loading", "draining", "cold"];

export class Models {
  list = [];
  at = null; // when it was told
  failed = false; // whether the last answer did not come
  #show;
  #timer = 0;
  #speeds = new Map();

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

  /** Tokens per second of a model's single streams, on average over so many `hours`; null if none was measured, or
      if that is not known yet: then `show()` is called once it is. */
  speed(id) {
    const kept = this.#speeds.get(id);
    if (!kept || performance.now() - kept.at > SPEED_FRESH_MS) this.#askSpeed(id, kept?.speed ?? null);
    return this.#speeds.get(id).speed;
  }

  async #ask() {
    clearTimeout(this.#timer);
    if (document.visibilityState !== "visible") return;
    try {
      const { data } = await call("/v1/models", { key: "" });
      this.list = data.toSorted((a, b) => STATES.indexOf(a.state) - STATES.indexOf(b.state) || a.id.localeCompare(b.id));
      this.at = new Date();
      this.failed = false;
    } catch {
      this.failed = true;
    }
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#ask(), REFRESH_MS);
    this.#show();
  }

  async #askSpeed(id, before) {
    const entry = { at: performance.now(), speed: before };
    this.#speeds.set(id, entry);
    try {
      const { tokens_per_second: speed, window_seconds: seconds } = await call(`/v1/models/${encodeURI(id)}/stats`, { key: "" });
      entry.speed = speed.average === null ? null : { average: speed.average, hours: seconds / 3600 };
      this.#show();
    } catch { /* what was known stays */ }
  }
}
