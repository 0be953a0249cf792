/* What the fields of a form say, and the choice of a model. */

import { byId, element, number, setText } from "./dom.js";
import { readKey } from "./session.js";

/** The numbers of these fields that are filled in, by the name that the API has for each. */
export function numbers(names) {
  return Object.fromEntries(Object.entries(names)
    .map(([name, id]) => [name, byId(id).valueAsNumber])
    .filter(([, value]) => !Number.isNaN(value)));
}

/** Why there cannot be a request with the key as it is; null if there can. */
export function keyTrouble() {
  const key = readKey();
  if (!key) return "Type an API key first.";
  return /^[!-~]+$/.test(key) ? null : "This is no API key: it has characters that no key has.";
}

/** Fills a choice with models, the ready ones first; what was chosen stays, as long as it is there. */
export function fillChoice(select, models, kind, preferred = null) {
  const labels = models.map(({ id, state }) => (state === "ready" ? id : `${id} (${state})`));
  if (labels.length && labels.join("\n") === [...select.options].map((option) => option.text).join("\n")) return;
  const wanted = select.value || preferred;
  select.replaceChildren(...models.map(({ id }, at) => element("option", { value: id }, labels[at])));
  if (models.some(({ id }) => id === wanted)) select.value = wanted;
  if (!models.length) select.append(element("option", { value: "" }, `There is no ${kind} model`));
  select.disabled = !models.length;
}

/** Tells of the chosen model: its state, how busy it is, and how fast. */
export function showPool(target, models, id) {
  const model = models.find(id);
  const texts = model ? describe(model) : [];
  if (models.failed) {
    texts.push(models.at ? `The API does not answer now; this is of ${models.at.toLocaleTimeString()}.` : "The API does not answer now.");
  }
  const state = model ? element("span", { class: "state", "data-state": model.state }, model.state) : "";
  const parts = [state, ...texts.map((text) => element("span", {}, text))].filter(Boolean);
  if (parts.map((part) => part.textContent).join("\n") === [...target.children].map((part) => part.textContent).join("\n")) return;
  target.replaceChildren(...parts);
}

function describe({ running, waiting, tokens_per_second: now, speed: { average, window_seconds: seconds } }) {
  return [
    running > 0 && `${number(running)} running`,
    waiting > 0 && `${number(waiting)} waiting`,
    now > 0 && `${number(now)} tokens/s now`,
    average !== null && `${number(average)} tokens/s for one stream, average of ${number(seconds / 3600)} h`,
  ].filter(Boolean);
}

/** What is said of a request below it; `bad` marks what went wrong. */
export function showStatus(target, text, bad = false) {
  setText(target, text);
  target.classList.toggle("bad", bad);
}
