/* How fast one answer comes, as measured in this page. What was not measured is null. */

const SHORTEST_MS = 200; // over less than that, a rate is chance

export class Meter {
  #sent = performance.now();
  #first = null;
  #last = null;
  #total = null;
  #pieces = 0;
  #steady = true;

  /** Something came: with the number of tokens so far, if it tells that, and with text or without. */
  note(tokens, hasText) {
    if (hasText) this.#pieces += 1;
    else if (!(tokens > (this.#last?.tokens ?? 0))) return; // an opening, or an end
    this.#last = { at: performance.now(), tokens };
    this.#first ??= this.#last;
  }

  /** What comes after a break comes in one go, and tells nothing of the model's speed. */
  broke() {
    this.#steady = false;
  }

  /** All tokens were counted. */
  total(tokens) {
    this.#total = tokens;
  }

  /** Milliseconds from the request to the first token. */
  get first() {
    return this.#first && this.#first.at - this.#sent;
  }

  /** "Tokens", or "Pieces" as long as the engine does not tell how many tokens they are. */
  get unit() {
    return this.#first && this.#count === null ? "Pieces" : "Tokens";
  }

  get amount() {
    return this.#count ?? (this.#pieces || null);
  }

  /** Units per second, from the first to the last. */
  get rate() {
    if (!this.#steady || !this.#first || this.amount === null) return null;
    const ms = this.#last.at - this.#first.at;
    const since = this.#last.tokens > 0 && this.#first.tokens > 0
      ? this.#last.tokens - this.#first.tokens
      : this.amount - 1;
    return ms >= SHORTEST_MS && since > 0 ? since / ms * 1000 : null;
  }

  get #count() {
    return this.#total ?? (this.#last?.tokens > 0 ? this.#last.tokens : null);
  }
}
