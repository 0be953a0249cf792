/* The public API of this gateway: calls, and the streams of jobs, through any number of broken connections. */

import { readKey } from "./session.js";

const TIMEOUT_MS = 10_000;
const SILENCE_MS = 10_000; // a stream says something every second, if only a comment
const AGAIN_MS = 5_000; // until it does when it is to go on: a browser may try connections that are dead, too
const FIRST_PAUSE_MS = 400;
const LONGEST_PAUSE_MS = 5_000;
const FIRST_TRIES = 3; // of a request, until the gateway has told of its job
const TRY_ANOTHER = new Set(["gateway_stopping", "queue_unreachable"]);

/** Seconds for which a job goes on without its client. */
export const WITHIN = 60;

/** A refusal or failure, in the API's own words. `retryAfter` is in seconds; `status` 0 means: in a stream. */
export class ApiError extends Error {
  constructor({ code = "", message = "", param = null } = {}, status = 0, retryAfter = null) {
    super(message || "The request failed.");
    this.code = code;
    this.param = param;
    this.status = status;
    this.retryAfter = retryAfter;
  }

  /** For people. */
  get sentence() {
    const text = this.message.trim();
    const field = this.code === "invalid_request" && this.param && !text.includes(this.param) ? ` Field: ${this.param}.` : "";
    const again = this.retryAfter > 0 ? ` Try again in ${this.retryAfter} s.` : "";
    return `${/[.!?]$/.test(text) ? text : `${text}.`}${field}${again}${this.code ? ` (${this.code})` : ""}`;
  }
}

/** Nobody answers, or the connection broke. */
export class ConnectionLost extends Error {
  constructor(message = "The gateway cannot be reached. Check the network and try again.") {
    super(message);
  }

  get sentence() {
    return this.message;
  }
}

/** The JSON of an answer, or what else it is to be `read` as. `key` is the tab's own unless given. Throws ApiError or
    ConnectionLost. */
export async function call(path, { method = "GET", body, key = readKey(), timeout = TIMEOUT_MS, read = "json", ...options } = {}) {
  const answer = await reach(path, {
    method,
    headers: headers(key, body),
    body: body && JSON.stringify(body),
    signal: AbortSignal.timeout(timeout),
    cache: "no-store",
    ...options,
  });
  if (!answer.ok) throw await refusal(answer);
  return answer[read]().catch(lost);
}

/** A job, from its request to its end, whatever becomes of the connection.

    `events()` may be iterated once. It gives
    - `{ kind: "event", data }`: what the job says, each once and in order;
    - `{ kind: "waiting", place }`: where it stands, as told by the stream's comments;
    - `{ kind: "lost", tries }` and `{ kind: "back" }`: the connection broke; it goes on where it was.
    It throws ApiError for a refusal, or the job's failure; ConnectionLost if nothing came for WITHIN seconds. */
export class JobStream {
  job = null;
  number = 0; // of the last event
  #path;
  #body;
  #key;
  #isLast;
  #once = randomName();
  #life = new AbortController();
  #connection = new AbortController();
  #silence = 0;
  #whole = false;
  #tell;
  #told = new Promise((resolve) => { this.#tell = resolve; });

  /** `isLast(data)` knows the last event of a stream that has no `[DONE]`. */
  constructor(path, body, { key = readKey(), isLast = () => false } = {}) {
    this.#path = path;
    this.#body = body;
    this.#key = key;
    this.#isLast = isLast;
  }

  async *events() {
    let failures = 0;
    let since = null;
    try {
      for (;;) {
        try {
          const answer = await this.#connect();
          if (since !== null) yield { kind: "back" };
          for await (const said of this.#read(answer.body)) {
            failures = 0;
            since = null;
            yield said;
          }
          if (this.#whole) return;
          throw new ConnectionLost();
        } catch (error) {
          if (this.#whole) return;
          if (this.#life.signal.aborted || !this.#goesOn(error)) throw error;
          since ??= performance.now();
          failures += 1;
          this.#checkPatience(failures, since, error);
          yield { kind: "lost", tries: failures };
          await pause(pauseAfter(failures), this.#life.signal);
        }
      }
    } finally {
      this.leave();
      this.#tell(this.job);
    }
  }

  /** Ends the job, and gives what is known of it then; null if the gateway never had it. The events go on to the
      job's end, which is there once its worker has let go of it. Throws ApiError or ConnectionLost. */
  async cancel() {
    const job = this.job ?? (await this.#told);
    return job ? call(`/v1/jobs/${job}`, { method: "DELETE", key: this.#key }) : null;
  }

  /** Reads no more of it. The job goes on, for WITHIN seconds at most. */
  leave() {
    clearTimeout(this.#silence);
    this.#life.abort();
    this.#connection.abort();
  }

  /** Ends the job without waiting for anything: its page is left. */
  abandon() {
    if (this.job) call(`/v1/jobs/${this.job}`, { method: "DELETE", key: this.#key, keepalive: true }).catch(() => {});
  }

  /** The request; once there is a job, what follows of it. */
  async #connect() {
    if (this.#life.signal.aborted) throw new ConnectionLost();
    this.#connection = new AbortController();
    this.#listen(this.job ? AGAIN_MS : SILENCE_MS);
    const { signal } = this.#connection;
    const coming = { "X-Resume-Within": String(WITHIN) };
    const answer = this.job
      ? await reach(`/v1/jobs/${this.job}/events`, {
        headers: { ...headers(this.#key), ...coming, "Last-Event-ID": String(this.number) }, signal, cache: "no-store",
      })
      : await reach(this.#path, {
        method: "POST",
        headers: { ...headers(this.#key, this.#body), ...coming, "Idempotency-Key": this.#once },
        body: JSON.stringify(this.#body),
        signal,
      });
    this.#listen();
    if (!answer.ok) throw await refusal(answer);
    this.job ??= answer.headers.get("X-Job-Id");
    if (this.job) this.#tell(this.job);
    return answer;
  }

  async *#read(body) {
    const held = [];
    for await (const { comment, id, data } of serverSentEvents(body, () => this.#listen())) {
      if (comment !== undefined) {
        yield { kind: "waiting", place: placeOf(comment) };
      } else if (data === "[DONE]") {
        this.#whole = true;
      } else {
        const told = JSON.parse(data);
        if (told.error) throw new ApiError(told.error);
        held.push({ kind: "event", data: told });
        // Of events that belong together the last has the number: with it, all are there.
        if (id === null) continue;
        const together = held.splice(0);
        if (id <= this.number) continue;
        this.number = id;
        this.#whole ||= this.#isLast(told);
        yield* together;
      }
    }
  }

  /** Whether another connection may have what this one has not. */
  #goesOn(error) {
    if (error instanceof ConnectionLost) return true;
    if (!(error instanceof ApiError)) return false;
    return TRY_ANOTHER.has(error.code) || (this.job !== null && (error.status >= 500 || error.status === 429));
  }

  #checkPatience(failures, since, error) {
    if (!this.job && failures >= FIRST_TRIES) throw error;
    if (performance.now() - since > WITHIN * 1000) {
      throw new ConnectionLost(`The gateway could not be reached for ${WITHIN} s, so the request is given up.`);
    }
  }

  /** A connection on which nothing comes any more is as good as none. */
  #listen(patience = SILENCE_MS) {
    clearTimeout(this.#silence);
    const connection = this.#connection;
    this.#silence = setTimeout(() => connection.abort(), patience);
  }
}

/* ---- the wire ---- */

async function reach(path, options) {
  return fetch(path, options).catch(lost);
}

function lost() {
  throw new ConnectionLost();
}

function headers(key, body) {
  return { ...(key && { Authorization: `Bearer ${key}` }), ...(body && { "Content-Type": "application/json" }) };
}

/** What an answer that is none says. A proxy in front may say it in HTML. */
async function refusal(answer) {
  const wait = Number(answer.headers.get("Retry-After")) || null;
  const said = await answer.json().catch(() => null);
  const error = said?.error ?? { message: `The gateway answered with status ${answer.status} and no reason.` };
  return new ApiError(error, answer.status, wait);
}

/** Comments, as they come, and events with the number that is their id (or null), wherever the network cut them. */
async function* serverSentEvents(body, heard = () => {}) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let pieces = []; // of a line: an image's is long
  let id = null;
  let data = [];
  try {
    for (;;) {
      const { value, done } = await reader.read().catch(lost);
      heard();
      if (done) return;
      pieces.push(value);
      if (!/[\r\n]/.test(value)) continue;
      // A lone \r at the end may be half of \r\n: leave it for the next read.
      const lines = pieces.join("").split(/\r\n|\n|\r(?!$)/);
      pieces = [lines.pop()];
      for (const line of lines) {
        if (line.startsWith(":")) yield { comment: line.slice(1).trim() };
        else if (line.startsWith("data:")) data.push(line.slice(line[5] === " " ? 6 : 5));
        else if (line.startsWith("id:")) id = Number(line.slice(3)) || null;
        else if (line === "") {
          if (data.length) yield { id, data: data.join("\n") };
          id = null;
          data = [];
        }
      }
    }
  } finally {
    reader.cancel().catch(() => {});
  }
}

const PLACE = /^(no worker|loading|waiting)(?:, position (\d+))?(?:, (held for )?(about \d+ s|less than a second))?$/;

/** What a comment tells of a job that waits: `state` of its model, `position` in the line (1 is next), and a `time`
    in words, which is how long it is `held`, or else until its turn. Null stands for what is not told. */
function placeOf(comment) {
  const [, state = "waiting", position = null, held, time = null] = PLACE.exec(comment) ?? [];
  return { state, position: position && Number(position), time, held: Boolean(held) };
}

/** Waits; being online again ends that, and so does the signal. */
function pause(ms, signal) {
  return new Promise((resolve) => {
    const end = () => {
      clearTimeout(timer);
      removeEventListener("online", end);
      signal.removeEventListener("abort", end);
      resolve();
    };
    const timer = setTimeout(end, ms);
    addEventListener("online", end);
    signal.addEventListener("abort", end);
  });
}

/** Longer each time, and never the same for all clients of a gateway that went. */
function pauseAfter(failures) {
  return Math.min(LONGEST_PAUSE_MS, FIRST_PAUSE_MS * 2 ** (failures - 1)) * (0.75 + Math.random() / 2);
}

function randomName() {
  return [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}
