/* The page /status: asks GET /v1/status every other second while somebody looks, and shows what it says. Its line and
   its bars are in files of their own. A number that was not measured is a dash. */

import { ApiError, call, ConnectionLost } from "./lib/api.js";
import { byId, counted, dayOf, element, number, setText } from "./lib/dom.js";
import { inOrder } from "./lib/models.js";
import { cell, measureCell, renew, row } from "./lib/tables.js";
import { Line } from "./status-line.js";
import { Uptime } from "./status-uptime.js";

const REFRESH_MS = 2_000;
const HISTORY_MS = 60_000; // the canaries' history is most of the answer, and changes little

const line = new Line(REFRESH_MS);
const uptime = new Uptime();
let heard = null; // when the last answer came
let historyAt = -Infinity; // when the last history was asked for
let isAsking = false;
let timer = 0;

/** Asks, shows what comes of it, and does so again later, for as long as the page is seen. */
async function ask() {
  clearTimeout(timer);
  if (isAsking || document.visibilityState !== "visible") return;
  isAsking = true;
  const begun = performance.now();
  const whole = begun - historyAt >= HISTORY_MS;
  try {
    show(await call(`/v1/status?uptime=${whole}`, { key: "" }));
    if (whole) historyAt = begun;
  } catch (error) {
    if (!(error instanceof ApiError || error instanceof ConnectionLost)) throw error;
    showTrouble(error);
  } finally {
    isAsking = false;
    timer = setTimeout(ask, Math.max(0, REFRESH_MS - (performance.now() - begun)));
  }
}

function show({ now, cluster, models: told }) {
  heard = new Date();
  const models = inOrder(told);
  byId("main").classList.remove("stale");
  tell("");
  showCluster(cluster, models);
  showModels(models);
  uptime.show(models, now);
  showSpeeds(models);
  setText(byId("as-of"), `As of ${heard.toLocaleTimeString()}. `);
}

/** Never lets old news pass for the present. */
function showTrouble(error) {
  const reason = error instanceof ConnectionLost ? "The gateway cannot be reached." : error.sentence;
  const then = heard ? ` Below is what it said at ${heard.toLocaleTimeString()}.` : "";
  tell(`${reason}${then} The page goes on trying.`, true);
  byId("main").classList.toggle("stale", Boolean(heard));
  for (const id of ["speed", "ready", "workers", "running", "waiting"]) setText(byId(id), number(null));
  line.add(null);
}

function tell(text, bad = false) {
  setText(byId("news"), text);
  byId("news").classList.toggle("bad", bad);
}

function showCluster(cluster, models) {
  const ready = models.filter(({ state }) => state === "ready").length;
  setText(byId("speed"), number(cluster.tokens_per_second));
  setText(byId("ready"), `${ready} of ${models.length}`);
  for (const name of ["workers", "running", "waiting"]) setText(byId(name), number(cluster[name]));
  line.add(cluster.tokens_per_second);
}

function showModels(models) {
  renew(byId("model-rows"), models.map((model) => row(model.id,
    nameCell(model),
    cell("", element("span", { class: "state", "data-state": model.state }, model.state)),
    measureCell(model.workers, model.workers === 1 ? "worker" : "workers"),
    measureCell(model.running, "running"),
    measureCell(model.waiting, "waiting"),
    measureCell(model.tokens_per_second, "tokens/s"))));
  setText(byId("models-note"), models.length
    ? "Tokens/s is what all workers of a model made in the last five seconds. A cold model has no worker, and images "
      + "have no tokens."
    : "The catalogue is empty.");
}

function showSpeeds(models) {
  const measured = models.filter(({ ever }) => ever.streams);
  renew(byId("speed-rows"), measured.map((model) => row(model.id,
    nameCell(model),
    measureCell(model.speed.average, "on average"),
    measureCell(model.speed.low, "at the lowest"),
    measureCell(model.ever.high, "ever seen"),
    sizesCell(model))));
  const without = models.filter(({ kind, ever }) => kind === "chat" && !ever.streams).length;
  const missing = without ? ` Nothing was measured yet of ${counted(without, measured.length ? "other model" : "model")}.` : "";
  setText(byId("speeds-note"), "Tokens/s of single streams of 16 tokens or more, from their first token to their last, "
    + `by real traffic: average and low of the last hours, the highest of all time.${missing}`);
}

function nameCell({ id, kind }) {
  return cell("", element("code", {}, id), element("small", {}, kind));
}

function sizesCell({ speed, ever }) {
  return element("td", { role: "cell", class: "sizes" },
    element("span", {}, `${counted(speed.streams, "stream")} in ${speed.window_seconds / 3600} h`),
    element("small", {}, `${counted(ever.streams, "stream")} since ${dayOf(ever.since * 1000)}`));
}

for (const button of document.querySelectorAll("[data-span]")) {
  button.addEventListener("click", () => uptime.choose(button.dataset.span));
}
document.addEventListener("visibilitychange", ask);
ask();
