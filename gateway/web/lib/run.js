/* One job under way, as a page tells of it: its waiting, its broken connections, its end, and how it is stopped. */

import { ApiError, ConnectionLost, WITHIN } from "./api.js";
import { duration } from "./dom.js";

const LETTING_GO_MS = 15_000;

export class Run {
  #stream;
  #say;
  #first;
  #begun = false;
  #waitingAs = "";
  #stoppedAt = null;
  #cancelling = null;
  #patience = 0;
  #givenUp = "";

  /** `say(text, { loud })` tells of it; what is loud, to who cannot see the page, too. `first` is what begins it. */
  constructor(stream, say, first) {
    this.#stream = stream;
    this.#say = say;
    this.#first = first;
  }

  /** Has `take(data)` take all events, and `broke()` know of breaks. Gives how it ended, if not with its last event:
      `{ text, bad }`. */
  async read(take, broke = () => {}) {
    try {
      for await (const { kind, data, place } of this.#stream.events()) {
        if (kind === "event") {
          this.#begun = true;
          take(data);
        } else if (kind === "waiting") this.#tellWaiting(place);
        else if (kind === "lost") {
          broke();
          this.#say("The connection is lost. Trying again…", { loud: true });
        } else this.#say("Connected again. The answer goes on.", { loud: true });
      }
      return this.#stoppedAt === null ? null : { text: "It had ended before it could be stopped.", bad: false };
    } catch (error) {
      return this.#explain(error, performance.now());
    } finally {
      clearTimeout(this.#patience);
    }
  }

  /** Cancels the job; `read` gives how that went. */
  async stop() {
    if (this.#stoppedAt !== null) return;
    this.#stoppedAt = performance.now();
    this.#say("Stopping…");
    this.#patience = setTimeout(
      () => this.#giveUp("Stopped here. Whether the slot is free is not known: its worker has not said so."), LETTING_GO_MS);
    this.#cancelling = this.#stream.cancel();
    try {
      await this.#cancelling;
    } catch (error) {
      if (error instanceof ApiError && error.status === 404) return;
      this.#giveUp(`It could not be stopped, and may go on for ${WITHIN} s. ${error.sentence}`);
    }
  }

  /** The page is left. */
  abandon() {
    this.#stream.abandon();
  }

  #giveUp(text) {
    this.#givenUp ||= text;
    this.#stream.leave();
  }

  #tellWaiting(place) {
    if (this.#begun || this.#stoppedAt !== null) return;
    const loud = place.state !== this.#waitingAs;
    this.#waitingAs = place.state;
    this.#say(waiting(place) ?? `Waiting for the first ${this.#first}…`, { loud });
  }

  async #explain(error, at) {
    if (this.#givenUp) return { text: this.#givenUp, bad: true };
    if (this.#stoppedAt !== null && error instanceof ApiError && error.code === "cancelled") {
      const job = await this.#cancelling.catch(() => null);
      const waited = job?.state === "cancelled" && job.attempt === 0;
      return {
        text: waited
          ? "Stopped. It had not begun, and took no slot."
          : `Stopped. The slot is free again, ${duration(at - this.#stoppedAt)} after Stop.`,
        bad: false,
      };
    }
    if (error instanceof ApiError || error instanceof ConnectionLost) return { text: error.sentence, bad: true };
    throw error;
  }
}

/** Where a job stands, for people; null if it does not wait in a line, as far as is known. */
function waiting({ state, position, time, held }) {
  const line = position > 1 ? ` Place ${position} in the line.` : "";
  if (state === "no worker") return `No worker runs this model now.${held && time ? ` The request is held for ${time} more.` : ""}${line}`;
  if (state === "loading") return `The model is loading${time ? `, ${time}` : ""}.${line}`;
  return position === null ? null : `Place ${position} in the line${time ? `, ${time}` : ""}.`;
}
