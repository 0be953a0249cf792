/* The pages of the documentation: fills in and arranges the examples, and keeps the list of models live.

   What comes back from the API is shown as text, never as HTML. */

import { call } from "./lib/api.js";
import { arrangeTabs, byId, copyButton, element, number, setText } from "./lib/dom.js";
import { Models } from "./lib/models.js";
import { keepKey, keepKeyOf, readKey } from "./lib/session.js";
import { cell, measureCell, renew, row } from "./lib/tables.js";

const LANGUAGE = "crofai.language";
const LITERALS = {
  curl: /("[^"\n]*")/g,
  python: /("(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*')|(#.*)/g,
  javascript: /("(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'|`[^`]*`)|(\/\/.*|\/\*\*.*)/g,
};
LITERALS.typescript = LITERALS.javascript;

/* Of the models, the examples name one that is ready, once it is known which are. */
const named = { CHAT_MODEL: "llama3.1-8b", IMAGE_MODEL: "stable_diffusion" };
const groups = [];
let picked = false;
let spreading = false;

function start() {
  document.querySelectorAll(".examples").forEach(arrange);
  document.querySelectorAll("figure pre").forEach(offerCopy);
  document.querySelectorAll("table").forEach(nameTableParts);
  if (byId("key")) offerKey();
  showChapter();
  fill();
  addEventListener("pageshow", ({ persisted }) => persisted && fill()); // another page may have changed the key
  if (byId("model-rows")) {
    const models = new Models(() => showModels(models));
  } else if (document.querySelector("code[data-fill]")) {
    call("/v1/models", { key: "" }).then(({ data }) => pick(data), () => {}); // then the names are those of the catalogue
  }
}

/* ---- the key ---- */

function offerKey() {
  keepKeyOf(byId("key"));
  byId("key").addEventListener("input", fill);
  byId("forget").addEventListener("click", () => {
    keepKey("");
    byId("key").value = "";
    fill();
    byId("key").focus();
  });
}

/** Says whose key is in the examples; the page comes as for nobody. */
function showKey(key) {
  const note = byId("filled");
  if (!note) return;
  note.template ??= [...note.childNodes];
  if (key) setText(note, byId("key") ? "Signed in: the examples have your key." : "The examples have your key.");
  else if (note.childNodes[0] !== note.template[0]) note.replaceChildren(...note.template);
  if (byId("forget")) byId("forget").hidden = !key;
}

/* ---- examples ---- */

/** Writes base URL, key and models' names into all examples, and tints their strings and comments. */
function fill() {
  const key = readKey();
  const values = { BASE_URL: location.origin, YOUR_KEY: key || "YOUR_KEY", ...named };
  for (const code of document.querySelectorAll("code[data-fill]")) {
    code.template ??= code.textContent;
    const text = code.template.replace(/BASE_URL|YOUR_KEY|CHAT_MODEL|IMAGE_MODEL/g, (name) => values[name]);
    if (code.filled === text) continue; // so that a selection stays
    code.filled = text;
    code.replaceChildren(...tint(text, code.closest("figure")?.dataset.lang));
  }
  showKey(key);
}

function tint(text, language) {
  if (!LITERALS[language]) return [text];
  const pieces = [];
  let end = 0;
  for (const match of text.matchAll(LITERALS[language])) {
    pieces.push(text.slice(end, match.index), element("span", { class: match[1] ? "s" : "c" }, match[0]));
    end = match.index + match[0].length;
  }
  return [...pieces, text.slice(end)];
}

/** Has the examples name models that answer; what a visitor may be copying does not change again. */
function pick(models) {
  if (picked) return;
  picked = true;
  for (const [name, kind] of [["CHAT_MODEL", "chat"], ["IMAGE_MODEL", "image"]]) {
    const rank = ({ id, state }) => (state === "ready" ? 0 : 2) + (id === named[name] ? 0 : 1);
    const [best] = models.filter((model) => model.kind === kind).toSorted((a, b) => rank(a) - rank(b));
    named[name] = best?.id ?? named[name];
  }
  fill();
}

/** Turns the figures of one example into tabs; a choice of language holds for all examples of this tab. */
function arrange(group, at) {
  const figures = [...group.querySelectorAll("figure")];
  const tabs = figures.map((figure) => {
    const language = figure.dataset.lang;
    const caption = figure.querySelector("figcaption");
    caption.remove(); // it is the tab's name, and a figure with a caption is no panel
    figure.id = `panel-${at}-${language}`;
    figure.setAttribute("role", "tabpanel");
    figure.setAttribute("aria-labelledby", `tab-${at}-${language}`);
    return element("button", {
      type: "button", role: "tab", id: `tab-${at}-${language}`, "aria-controls": figure.id, "data-lang": language,
    }, caption.textContent);
  });
  const list = element("div", { class: "tabs", role: "tablist", "aria-label": group.dataset.label }, ...tabs);
  group.prepend(list);
  group.classList.add("tabbed");
  const choose = arrangeTabs(list, spread);
  groups.push({ tabs, choose });
  spreading = true;
  choose(tabs.find((tab) => tab.dataset.lang === remembered()) ?? tabs[0]);
  spreading = false;
}

/** The same language in all examples that have it. The page must not jump under the tab that was pressed while
    examples above it change their height. */
function spread(tab) {
  if (spreading) return;
  const before = tab.getBoundingClientRect().top;
  const { lang } = tab.dataset;
  remember(lang);
  spreading = true;
  for (const { tabs, choose } of groups) {
    const same = tabs.find((each) => each.dataset.lang === lang);
    if (same && same !== tab) choose(same);
  }
  spreading = false;
  scrollBy({ top: tab.getBoundingClientRect().top - before, behavior: "instant" });
}

function remember(language) {
  try {
    sessionStorage.setItem(LANGUAGE, language);
  } catch { /* then only until the page is left */ }
}

function remembered() {
  try {
    return sessionStorage.getItem(LANGUAGE);
  } catch {
    return null;
  }
}

function offerCopy(pre) {
  pre.tabIndex = 0; // so that keys can scroll it
  const button = copyButton(() => pre.textContent);
  button.className = "copy";
  pre.before(button);
}

/* ---- the layout ---- */

/** On narrow screens the tables are no tables to CSS; with roles they stay tables to screen readers. */
function nameTableParts(part) {
  const roles = { TABLE: "table", THEAD: "rowgroup", TBODY: "rowgroup", TR: "row", TH: "columnheader", TD: "cell" };
  part.setAttribute("role", roles[part.tagName]);
  if (part.tagName !== "TD" && part.tagName !== "TH") [...part.children].forEach(nameTableParts);
}

/** Where the list of pages has not the room for all, at the side or as a strip, this one is in view in it. */
function showChapter() {
  const list = byId("chapters");
  const link = list.querySelector("[aria-current]");
  const side = list.parentElement;
  list.scrollLeft = link.offsetLeft - list.offsetLeft - 40;
  side.scrollTop = link.offsetTop + link.offsetHeight + 40 - side.clientHeight;
  // Browsers leave a link where it is if a part of it is in view; one that is pressed must not move away.
  list.addEventListener("focusin", ({ target }) => {
    if (target.matches(":focus-visible")) target.scrollIntoView({ block: "nearest", inline: "nearest", behavior: "instant" });
  });
}

/* ---- models ---- */

function showModels(models) {
  const { list, at, failed } = models;
  if (at) pick(list);
  showCount(failed ? [] : list, failed);
  byId("model-rows").parentElement.classList.toggle("stale", failed);
  setText(byId("models-note"), modelsNote(models));
  if (!failed || !at) renew(byId("model-rows"), list.map(modelRow));
}

function showCount(list, failed) {
  const ready = list.filter(({ state }) => state === "ready").length;
  const speed = list.reduce((sum, model) => sum + (model.tokens_per_second || 0), 0);
  byId("live").hidden = failed;
  byId("live").classList.toggle("none", !ready);
  setText(byId("live"), `${ready} of ${list.length} ${list.length === 1 ? "model" : "models"} ready`
    + (speed > 0 ? `, ${number(speed)} tokens/s now` : ""));
}

/** Never lets old news pass for the present. */
function modelsNote({ list, at, failed }) {
  if (failed && at) return `The API does not answer at the moment. This is what it said at ${at.toLocaleTimeString()}.`;
  if (failed) return "The API does not answer at the moment. The list appears here as soon as it does.";
  return list.length
    ? "Tokens/s is what all workers of a model make at the moment. – means that nothing was measured."
    : "The catalogue is empty.";
}

function modelRow(model) {
  const aliases = (model.aliases ?? []).filter((alias) => alias !== model.id).join(", ");
  return row(model.id,
    cell("", element("code", {}, model.id), element("small", { class: "alias" }, aliases), element("small", {}, model.description ?? "")),
    cell("", model.kind),
    measureCell(model.context, "tokens of context"),
    cell("", element("span", { class: "state", "data-state": model.state }, model.state), element("small", {}, load(model))),
    measureCell(model.tokens_per_second, "tokens/s"));
}

function load({ running = 0, waiting = 0 }) {
  return [running && `${running} running`, waiting && `${waiting} waiting`].filter(Boolean).join(", ");
}

start();
