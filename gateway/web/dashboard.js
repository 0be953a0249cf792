/* The page /dashboard: signing in and out, and the limits. Keys, usage and what admins see are in files of their own.

   A plain client of the public API. The key is in sessionStorage alone, and goes into headers, never into an address. */

import { Admin } from "./dashboard-admin.js";
import { arrangeDialogs, ask, attempt, closeDialogs, forgetDialogs, LIMITS, limitName, onEnd } from "./dashboard-desk.js";
import { Keys } from "./dashboard-keys.js";
import { Requests, showToday, Usage } from "./dashboard-usage.js";
import { call } from "./lib/api.js";
import { arrangeTabs, byId, element, number } from "./lib/dom.js";
import { showStatus } from "./lib/fields.js";
import { keepKey, readKey } from "./lib/session.js";
import { renew } from "./lib/tables.js";

const REFRESH_MS = 10_000;
const ENTERING = "#enter";

let account = null; // who is signed in, or was last
let used = ""; // the key that they have signed in with
let timer = 0;
let entering = false;
const requests = new Requests();
const keys = new Keys((names) => requests.name(names));
const usage = new Usage();
const admin = new Admin();
const choose = arrangeTabs(byId("parts"), refreshSoon);

function start() {
  arrangeDialogs();
  onEnd(leave);
  byId("sign-in").addEventListener("submit", (event) => {
    event.preventDefault();
    enter(byId("key").value.trim());
  });
  byId("sign-out").addEventListener("click", () => {
    leave("");
    forget();
  });
  document.addEventListener("visibilitychange", refreshSoon);
  addEventListener("pageshow", ({ persisted }) => persisted && comeBack());
  if (readKey()) enter(readKey());
  else showDoor("");
}

/* ---- in and out ---- */

async function enter(key) {
  if (entering) return;
  if (!/^[!-~]+$/.test(key)) {
    showDoor(key ? "This is no API key: it has characters that no key has." : "Type an API key first.");
    return;
  }
  entering = true;
  document.querySelector(ENTERING).setAttribute("aria-disabled", "true");
  try {
    const found = await call("/v1/account", { key });
    keepKey(key);
    byId("key").value = "";
    if (account && account.id !== found.id) forget();
    used = key;
    showBoard(found);
  } catch (error) {
    if (error.sentence === undefined) throw error;
    if (error.code === "invalid_key") keepKey("");
    showDoor(error.sentence);
  } finally {
    entering = false;
    document.querySelector(ENTERING).removeAttribute("aria-disabled");
  }
}

function leave(sentence, next = "") {
  clearTimeout(timer);
  keys.pause();
  closeDialogs();
  keepKey(next);
  showDoor(sentence);
}

/** On another page somebody may have signed out, or in, before this one was come back to. */
function comeBack() {
  if (readKey() === used) return;
  leave("", readKey());
  forget();
  byId("secret-dialog").close();
  if (readKey()) enter(readKey());
}

/** Nothing of an account is left for who comes next. */
function forget() {
  account = null;
  used = "";
  for (const part of [keys, usage, requests, admin]) part.clear();
  forgetDialogs();
  for (const form of document.querySelectorAll("#board form")) form.reset();
  for (const said of document.querySelectorAll(".status")) showStatus(said, "");
  byId("limits").replaceChildren();
  for (const id of ["who", "announce"]) byId(id).textContent = "";
  for (const value of document.querySelectorAll("[id^=today-]:is(dd)")) value.textContent = "–";
}

function showDoor(sentence) {
  byId("board").hidden = true;
  byId("door").hidden = false;
  showStatus(byId("door-status"), sentence, Boolean(sentence));
  byId("key").focus({ preventScroll: true });
}

function showBoard(found) {
  const back = document.activeElement === byId("key") || document.activeElement === byId("enter");
  byId("door").hidden = true;
  byId("board").hidden = false;
  showStatus(byId("door-status"), "");
  if (back) byId("main").focus({ preventScroll: true });
  showAccount(found);
  const isAdmin = found.key.admin;
  byId("parts").hidden = !isAdmin;
  for (const [panel, tab] of [["own", "tab-own"], ["admin", "tab-admin"]]) {
    if (isAdmin) {
      byId(panel).setAttribute("role", "tabpanel");
      byId(panel).setAttribute("aria-labelledby", tab);
    } else {
      byId(panel).removeAttribute("role");
      byId(panel).removeAttribute("aria-labelledby");
    }
  }
  if (!isAdmin) choose(byId("tab-own"));
  keys.show(found);
  usage.show();
  requests.show();
  attempt(byId("limits-status"), showToday);
  if (isAdmin) admin.show(found);
  refreshSoon();
}

/* ---- the account, and its limits ---- */

function showAccount(found) {
  account = found;
  renew(byId("who"), [element("span", { "data-id": found.id },
    element("strong", {}, found.name), `, ${found.tier}`, element("small", {}, `signed in with the key ${found.key.name}`))]);
  const groups = [group("account", "Of the account", found.limits)];
  if (found.key_limits) groups.push(group("key", "Of the key that you are signed in with", found.key_limits));
  renew(byId("limits"), groups);
}

function group(id, title, limits) {
  const bounded = LIMITS.map((name) => [name, limits[name]]).filter(([, { limit }]) => limit !== null);
  return element("div", { "data-id": id }, element("h3", {}, title),
    bounded.length ? element("ul", { class: "bounds" }, ...bounded.map(bar)) : element("p", { class: "note" }, "There are none."));
}

function bar([name, { limit, used, resets }]) {
  const share = Math.min(1, used / limit);
  const again = resets === null ? "" : `anew in ${span(resets)}`;
  return element("li", {},
    element("span", { class: "what" }, limitName(name)),
    element("span", { class: "much" }, `${number(used)} of ${number(limit)}`),
    element("progress", { max: 1, value: share, "aria-label": limitName(name), class: share >= 0.9 ? "full" : null }),
    element("small", {}, again));
}

function span(seconds) {
  if (seconds < 90) return `${Math.ceil(seconds)} s`;
  return seconds < 5400 ? `${Math.round(seconds / 60)} min` : `${Math.round(seconds / 3600)} h`;
}

/** Limits and pools change by themselves; what is in forms and lists stays as it is. */
function refreshSoon() {
  clearTimeout(timer);
  if (account && !byId("board").hidden && document.visibilityState === "visible") timer = setTimeout(refresh, REFRESH_MS);
}

async function refresh() {
  await attempt(byId("limits-status"), async () => {
    showAccount(await ask("/v1/account"));
    await showToday();
  });
  if (!byId("admin").hidden) await admin.showPools();
  refreshSoon();
}

start();
