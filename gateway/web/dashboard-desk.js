/* What all parts of the page /dashboard use: asking the API, telling what went wrong, asking whether one is sure, and
   showing a new key's secret, which is kept nowhere. */

import { call } from "./lib/api.js";
import { byId, copyButton } from "./lib/dom.js";
import { showStatus } from "./lib/fields.js";
import { readKey } from "./lib/session.js";
import { placeOf } from "./lib/tables.js";

const ENDED = new Set(["invalid_key", "account_suspended"]);
const FORCED = "last_admin_key";

/** Somebody has signed out meanwhile, or had to. */
class Left extends Error {}

let ended = () => {};

/** `leave(sentence)` is called where the key turns out to be good for nothing any more. */
export function onEnd(leave) {
  ended = leave;
}

/** The key is good for nothing any more, for this reason. */
export function end(reason) {
  ended(`${reason} Sign in with another key; what you have typed is kept.`);
}

/** As `call`; an answer that comes when another key is in use is nobody's. */
export async function ask(path, options = {}) {
  const key = readKey();
  try {
    const answer = await call(path, options);
    if (key !== readKey()) throw new Left();
    return answer;
  } catch (error) {
    if (key !== readKey()) throw new Left();
    if (!ENDED.has(error.code)) throw error;
    end(error.message);
    throw new Left();
  }
}

/** Does it, and says in `target` what went wrong, or `done`; whether it is done. */
export async function attempt(target, work, done = "") {
  try {
    await work();
    showStatus(target, done);
    return true;
  } catch (error) {
    if (error instanceof Left) return false;
    if (error.sentence === undefined) throw error;
    showStatus(target, error.sentence, true);
    return false;
  }
}

/** The same, while a button cannot be pressed again. */
export async function press(button, target, work, done = "") {
  if (button.getAttribute("aria-disabled") === "true") return false;
  button.setAttribute("aria-disabled", "true");
  try {
    return await attempt(target, work, done);
  } finally {
    button.removeAttribute("aria-disabled");
  }
}

let doIt = async () => {};

/** Asks, and if the answer is yes has `work(force)` done; `force` once that was refused for the last admin's key. */
export function askIfSure({ title, text, action, work }) {
  byId("sure-title").textContent = title;
  byId("sure-text").textContent = text;
  byId("sure-do").textContent = action;
  showStatus(byId("sure-status"), "");
  let force = false;
  doIt = async () => {
    const done = await press(byId("sure-do"), byId("sure-status"), async () => {
      try {
        await work(force);
      } catch (error) {
        if (error.code === FORCED) {
          force = true;
          byId("sure-do").textContent = `${action} all the same`;
        }
        throw error;
      }
    });
    if (done) byId("sure-dialog").close();
  };
  byId("sure-dialog").addEventListener("close", placeOf(document.activeElement), { once: true });
  byId("sure-dialog").showModal();
  byId("sure-cancel").focus();
}

/** A new key's secret, once. */
export function showSecret(secret, title) {
  byId("secret").textContent = secret;
  byId("secret-title").textContent = title;
  byId("secret-dialog").showModal();
}

export function arrangeDialogs() {
  byId("sure-do").addEventListener("click", () => doIt());
  byId("sure-cancel").addEventListener("click", () => byId("sure-dialog").close());
  byId("secret-copy").append(copyButton(() => byId("secret").textContent, "Copy the key"));
  byId("secret-done").addEventListener("click", () => byId("secret-dialog").close());
  byId("secret-dialog").addEventListener("cancel", (event) => event.preventDefault());
  byId("secret-dialog").addEventListener("keydown", (event) => {
    if (event.key === "Escape") event.preventDefault(); // some browsers let a dialog refuse to go only once
  });
  byId("secret-dialog").addEventListener("close", () => forget("secret", "secret-title"));
}

/** What was asked or shown last is nothing for who comes next. */
export function forgetDialogs() {
  doIt = async () => {};
  forget("sure-title", "sure-text", "sure-do", "secret", "secret-title");
}

function forget(...parts) {
  for (const part of parts) byId(part).textContent = "";
}

/** No dialog may be over the way in, but for a secret's, which is shown nowhere else and closed by who has copied it. */
export function closeDialogs() {
  for (const dialog of document.querySelectorAll("dialog[open]:not(#secret-dialog)")) dialog.close();
}

/** In the order in which they are shown. */
export const LIMITS = [
  "requests_per_minute", "requests_per_day", "units_per_minute", "units_per_day", "images_per_minute", "images_per_day", "concurrent_jobs",
];

const NAMES = { requests: "Requests", units: "Units", images: "Images" };

/** `requests_per_minute` for people. */
export function limitName(name) {
  const [what, span] = name.split("_per_");
  return span ? `${NAMES[what] ?? what} per ${span}` : "Jobs at once";
}

/** Limits in a few words; those that are null are none. */
export function limitsTold(limits) {
  return LIMITS.map((name) => [name, limits?.[name] ?? null]).filter(([, limit]) => limit !== null)
    .map(([name, limit]) => `${limitName(name).toLowerCase()}: ${limit.toLocaleString("en")}`);
}
