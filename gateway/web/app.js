/* The page of the gateway: fills in and arranges the examples, keeps the list of models live, runs the chat box.

   It talks to this gateway alone, through the public API that the page describes. What comes back is shown as
   text (textContent), never as HTML. */

"use strict";

const REFRESH_MS = 10_000;
const TIMEOUT_MS = 8_000;
const STATES = ["ready", "loading", "draining", "cold"];
const UNKNOWN = "–";

const byId = (id) => document.getElementById(id);
const page = {
  model: byId("model"),
  key: byId("key"),
  prompt: byId("prompt"),
  send: byId("send"),
  stop: byId("stop"),
  clear: byId("clear"),
  transcript: byId("transcript"),
  status: byId("status"),
  rows: byId("model-rows"),
  note: byId("models-note"),
  live: byId("live"),
};

function start() {
  page.key.value = recall("key") ?? "";
  document.querySelectorAll(".examples").forEach(arrangeTabs);
  document.querySelectorAll("pre").forEach(addCopyButton);
  document.querySelectorAll("table").forEach(nameTableParts);
  fillExamples();
  followSections();

  page.key.addEventListener("input", () => {
    remember("key", page.key.value.trim());
    fillExamples();
  });
  page.model.addEventListener("change", fillExamples);
  byId("chat-form").addEventListener("submit", (event) => {
    event.preventDefault();
    send();
  });
  page.prompt.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
    event.preventDefault();
    send();
  });
  byId("chat-form").addEventListener("keydown", (event) => {
    if (event.key === "Escape") stop();
  });
  page.stop.addEventListener("click", stop);
  page.clear.addEventListener("click", clearChat);

  refreshModels();
  setInterval(refreshModels, REFRESH_MS);
  document.addEventListener("visibilitychange", refreshModels);
}

/* ---- what this tab remembers: the key and the chosen language; private windows may refuse ---- */

function remember(name, value) {
  try {
    sessionStorage.setItem(`crofai.${name}`, value);
  } catch { /* then only until the page is left */ }
}

function recall(name) {
  try {
    return sessionStorage.getItem(`crofai.${name}`);
  } catch {
    return null;
  }
}

/* ---- examples ---- */

/** Writes base URL, key and model names into all examples, and tints their strings and comments. */
function fillExamples() {
  const values = {
    BASE_URL: location.origin,
    YOUR_KEY: page.key.value.trim() || "YOUR_KEY",
    CHAT_MODEL: page.model.value || "llama3.1-8b",
    IMAGE_MODEL: models.list.find(({ kind, state }) => kind === "image" && state === "ready")?.id ?? "stable_diffusion",
  };
  for (const code of document.querySelectorAll("code[data-fill]")) {
    code.template ??= code.textContent;
    const text = code.template.replace(/BASE_URL|YOUR_KEY|CHAT_MODEL|IMAGE_MODEL/g, (name) => values[name]);
    if (code.textContent === text && code.tinted) continue;
    code.replaceChildren(...tint(text, code.closest("figure")?.dataset.lang));
    code.tinted = true;
  }
}

function tint(text, language) {
  const patterns = {
    curl: /("[^"\n]*")/,
    python: /("(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*')|(#.*)/,
    javascript: /("(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'|`[^`]*`)|(\/\/.*)/,
  };
  patterns.typescript = patterns.javascript;
  if (!patterns[language]) return [text];
  const pieces = [];
  let end = 0;
  for (const match of text.matchAll(new RegExp(patterns[language], "g"))) {
    pieces.push(text.slice(end, match.index), element("span", match[1] ? "s" : "c", match[0]));
    end = match.index + match[0].length;
  }
  return [...pieces, text.slice(end)];
}

/** Turns the figures of one example into tabs; a choice of language holds for all examples. */
function arrangeTabs(group, index) {
  const figures = [...group.querySelectorAll("figure")];
  const bar = element("div", "tabs");
  bar.setAttribute("role", "tablist");
  bar.setAttribute("aria-label", group.dataset.label);
  for (const figure of figures) {
    const language = figure.dataset.lang;
    const tab = element("button", "", figure.querySelector("figcaption").textContent);
    tab.type = "button";
    tab.id = `tab-${index}-${language}`;
    tab.dataset.lang = language;
    tab.setAttribute("role", "tab");
    tab.setAttribute("aria-controls", `panel-${index}-${language}`);
    tab.addEventListener("click", () => chooseLanguage(language, tab));
    bar.append(tab);
    figure.id = `panel-${index}-${language}`;
    figure.setAttribute("role", "tabpanel");
    figure.setAttribute("aria-labelledby", tab.id);
  }
  bar.addEventListener("keydown", (event) => {
    const tabs = [...bar.children];
    const at = tabs.indexOf(document.activeElement);
    const to = { ArrowRight: at + 1, ArrowLeft: at - 1, Home: 0, End: -1 }[event.key];
    if (to === undefined) return;
    event.preventDefault();
    const tab = tabs.at(to % tabs.length);
    tab.focus();
    chooseLanguage(tab.dataset.lang, tab);
  });
  group.prepend(bar);
  group.classList.add("tabbed");
  showLanguage(group, recall("language"));
}

/** The page must not jump under the tab that was pressed while examples above it change their height. */
function chooseLanguage(language, tab) {
  const before = tab.getBoundingClientRect().top;
  remember("language", language);
  document.querySelectorAll(".examples").forEach((group) => showLanguage(group, language));
  scrollBy({ top: tab.getBoundingClientRect().top - before, behavior: "instant" });
}

/** An example that lacks the language stays at what it shows. */
function showLanguage(group, language) {
  const tabs = [...group.querySelectorAll("[role=tab]")];
  const chosen = tabs.find((tab) => tab.dataset.lang === language)
    ?? tabs.find((tab) => tab.getAttribute("aria-selected") === "true") ?? tabs[0];
  for (const tab of tabs) {
    tab.setAttribute("aria-selected", String(tab === chosen));
    tab.tabIndex = tab === chosen ? 0 : -1;
    byId(tab.getAttribute("aria-controls")).hidden = tab !== chosen;
  }
}

function addCopyButton(pre) {
  pre.tabIndex = 0;
  const button = element("button", "copy", "Copy");
  button.type = "button";
  button.addEventListener("click", async () => {
    const copied = await copy(pre);
    button.textContent = copied ? "Copied" : "Selected";
    byId("announce").textContent = copied ? "Copied" : "Selected. Copy it with the keyboard.";
    setTimeout(() => {
      button.textContent = "Copy";
      byId("announce").textContent = "";
    }, 1500);
  });
  pre.before(button);
}

/** Browsers give the clipboard only to HTTPS and localhost; elsewhere the older way, or at least the selection. */
async function copy(pre) {
  try {
    await navigator.clipboard.writeText(pre.textContent);
    return true;
  } catch {
    getSelection().selectAllChildren(pre);
    return document.execCommand("copy");
  }
}

/** On narrow screens the tables are no tables to CSS; with roles they stay tables to screen readers. */
function nameTableParts(part) {
  const roles = { TABLE: "table", THEAD: "rowgroup", TBODY: "rowgroup", TR: "row", TH: "columnheader", TD: "cell" };
  part.setAttribute("role", roles[part.tagName]);
  if (part.tagName !== "TD" && part.tagName !== "TH") [...part.children].forEach(nameTableParts);
}

/* ---- navigation: marks the section in view ---- */

function followSections() {
  const links = new Map([...byId("nav").querySelectorAll("a[href^='#']")].map((link) => [link.hash.slice(1), link]));
  const observer = new IntersectionObserver((entries) => {
    for (const { target, isIntersecting } of entries) {
      const link = links.get(target.id);
      if (!isIntersecting) link.removeAttribute("aria-current");
      else {
        link.setAttribute("aria-current", "true");
        byId("nav").scrollLeft = link.offsetLeft - byId("nav").offsetLeft - 40;
      }
    }
  }, { rootMargin: "-25% 0px -74% 0px" });
  for (const id of links.keys()) observer.observe(byId(id));
}

/* ---- models ---- */

const models = { list: [], at: null };

async function refreshModels() {
  if (document.visibilityState !== "visible") return;
  try {
    const answer = await fetch("/v1/models", { signal: AbortSignal.timeout(TIMEOUT_MS), cache: "no-store" });
    if (!answer.ok) throw new Error(answer.status);
    models.list = (await answer.json()).data.toSorted(
      (a, b) => STATES.indexOf(a.state) - STATES.indexOf(b.state) || a.id.localeCompare(b.id));
    models.at = new Date();
    showModels();
  } catch {
    showModelsMissing();
  }
}

function showModels() {
  const count = models.list.length;
  const ready = models.list.filter((model) => model.state === "ready").length;
  const speed = models.list.reduce((sum, model) => sum + (model.tokens_per_second || 0), 0);
  page.live.hidden = false;
  page.live.classList.toggle("none", !ready);
  setText(page.live, `${ready} of ${count} ${count === 1 ? "model" : "models"} ready`
    + (speed > 0 ? `, ${figure(speed)} tokens/s now` : ""));
  setText(page.note, count
    ? "Tokens/s is what all workers of a model make at the moment. – means that nothing was measured."
    : "The catalogue is empty.");
  page.rows.parentElement.classList.remove("stale");
  showRows();
  showChoices();
  fillExamples();
}

/** Never lets old news pass for the present. */
function showModelsMissing() {
  page.live.hidden = true;
  page.rows.parentElement.classList.add("stale");
  setText(page.note, models.at
    ? `The API does not answer at the moment. This is what it said at ${models.at.toLocaleTimeString()}.`
    : "The API does not answer at the moment. The list appears here as soon as it does.");
}

/** Keeps the rows it has, so that a refresh does not undo a selection of text. */
function showRows() {
  const known = new Map([...page.rows.rows].map((row) => [row.dataset.id, row]));
  const rows = models.list.map((model) => {
    const row = known.get(model.id) ?? newRow(model.id);
    const [name, kind, context, state, speed] = row.cells;
    setText(name.children[1], (model.aliases ?? []).filter((alias) => alias !== model.id).join(", "));
    setText(name.children[2], model.description ?? "");
    setText(kind, model.kind);
    setNumber(context, model.context, "tokens of context");
    state.firstChild.dataset.state = model.state;
    setText(state.firstChild, model.state);
    setText(state.lastChild, load(model));
    setNumber(speed, model.tokens_per_second, "tokens/s");
    return row;
  });
  if (rows.some((row, at) => row !== page.rows.rows[at]) || rows.length !== known.size) {
    page.rows.replaceChildren(...rows);
  }
}

function newRow(id) {
  const row = element("tr");
  row.dataset.id = id;
  row.append(...["", "", "number", "", "number"].map((name) => element("td", name)));
  nameTableParts(row);
  row.cells[0].append(element("code", "", id), element("small", "alias"), element("small"));
  row.cells[3].append(element("span", "state"), element("small"));
  return row;
}

function load({ running = 0, waiting = 0 }) {
  return [running && `${running} running`, waiting && `${waiting} waiting`].filter(Boolean).join(", ");
}

/** A number that was not measured, or that has no meaning here, is a dash. */
function setNumber(cell, value, unit) {
  setText(cell, value > 0 ? figure(value) : UNKNOWN);
  cell.dataset.unit = unit;
  cell.classList.toggle("none", !(value > 0));
}

/** Chat models, the ready ones first; the visitor's choice stays. */
function showChoices() {
  const chat = models.list.filter((model) => model.kind === "chat");
  const labels = chat.map((model) => (model.state === "ready" ? model.id : `${model.id} (${model.state})`));
  if (labels.join("\n") === [...page.model.options].map((option) => option.text).join("\n")) return;
  const chosen = page.model.value;
  page.model.replaceChildren(...chat.map((model, at) => new Option(labels[at], model.id)));
  if (chat.some((model) => model.id === chosen)) page.model.value = chosen;
  if (!chat.length) page.model.add(new Option("There is no chat model", ""));
  page.model.disabled = !chat.length;
}

/* ---- chat box ---- */

const chat = { messages: [], request: null };

async function send() {
  const prompt = page.prompt.value.trim();
  if (chat.request) return;
  if (!prompt) return page.prompt.focus();
  if (!page.model.value) return showStatus("The list of models has not loaded, so there is no model to ask.", true);
  if (!page.key.value.trim()) {
    page.key.focus();
    return showStatus("Type an API key first.", true);
  }
  const model = page.model.value;
  const { messages } = chat;
  const question = showTurn("You");
  question.answer.textContent = prompt;
  const turn = showTurn(model);
  messages.push({ role: "user", content: prompt });
  page.prompt.value = "";
  setBusy(turn, true);
  const outcome = await ask(model, turn);
  setBusy(turn, false);
  if (chat.messages !== messages) return; // a new chat has begun
  if (turn.answer.textContent) {
    messages.push({ role: "assistant", content: turn.answer.textContent });
  } else {
    messages.pop();
    page.prompt.value ||= prompt;
    if (!turn.thought.textContent) [question, turn].forEach(({ article }) => article.remove());
  }
  page.clear.hidden = !page.transcript.hasChildNodes();
  showStatus(outcome.text, outcome.bad);
}

/** Streams one answer into `turn`. Never throws: the outcome is a sentence for the visitor. */
async function ask(model, turn) {
  const meter = newMeter();
  chat.request = new AbortController();
  const { state } = models.list.find(({ id }) => id === model);
  showStatus(`Waiting for the first token…${state === "ready" ? "" : ` The model is ${state}.`}`);
  try {
    const answer = await fetch("/v1/chat/completions", {
      method: "POST",
      signal: chat.request.signal,
      headers: { "Content-Type": "application/json", Authorization: `Bearer ${page.key.value.trim()}` },
      body: JSON.stringify({
        model,
        messages: chat.messages,
        stream: true,
        stream_options: { include_usage: true },
      }),
    });
    if (!answer.ok) return { text: await explain(answer), bad: true };
    return await readAnswer(answer.body, turn, meter);
  } catch (error) {
    if (chat.request.signal.aborted) return { text: "Stopped. The request is closed." };
    if (error instanceof ApiError) return { text: error.message, bad: true };
    return { text: "The connection to the gateway failed. Check the network and try again.", bad: true };
  } finally {
    chat.request = null;
  }
}

async function readAnswer(body, turn, meter) {
  let finish = null;
  for await (const data of serverSentEvents(body)) {
    if (data === "[DONE]") return { text: finish === "length" ? "Cut off: the token limit is reached." : "Done." };
    const chunk = JSON.parse(data);
    if (chunk.error) throw new ApiError(sentence(chunk.error));
    const { delta = {}, finish_reason } = chunk.choices?.[0] ?? {};
    const thought = delta.reasoning_content ?? delta.reasoning ?? "";
    finish = finish_reason ?? finish;
    if (thought || delta.content) meter.text();
    if (thought) append(turn.thought, thought);
    if (delta.content) append(turn.answer, delta.content);
    if (chunk.usage) meter.usage(chunk.usage);
  }
  return { text: "The stream ended before the answer did. Send the message again.", bad: true };
}

function stop() {
  chat.request?.abort();
}

function clearChat() {
  stop();
  chat.messages = [];
  page.transcript.replaceChildren();
  page.clear.hidden = true;
  showStatus("");
  newMeter();
  page.prompt.focus();
}

/** The data of each event of a stream, wherever the network cut it. Ends when the stream ends. */
async function* serverSentEvents(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  let data = [];
  try {
    for (;;) {
      const { value, done } = await reader.read();
      if (done) return;
      // A lone \r at the end may be half of \r\n: leave it for the next read.
      const lines = (rest + value).split(/\r\n|\n|\r(?!$)/);
      rest = lines.pop();
      for (const line of lines) {
        if (line.startsWith("data:")) data.push(line.slice(line[5] === " " ? 6 : 5));
        if (line === "" && data.length) {
          yield data.join("\n");
          data = [];
        }
      }
    }
  } finally {
    reader.cancel().catch(() => {});
  }
}

/** Time to the first token, and tokens/s after it: (tokens - 1) / (last - first), measured in this page. */
function newMeter() {
  const sent = performance.now();
  let first = null;
  let last = null;
  for (const id of ["ttft", "tokens", "rate"]) setText(byId(id), UNKNOWN);
  return {
    text() {
      last = performance.now();
      if (first !== null) return;
      first = last;
      setText(byId("ttft"), duration(first - sent));
      showStatus("Answering…");
    },
    usage({ completion_tokens: tokens }) {
      if (!(tokens > 0)) return;
      setText(byId("tokens"), figure(tokens));
      if (tokens > 1 && last > first) setText(byId("rate"), figure((tokens - 1) / (last - first) * 1000));
    },
  };
}

class ApiError extends Error {}

/** What went wrong, from an error response, in plain words. */
async function explain(answer) {
  let error = null;
  try {
    error = (await answer.json()).error;
  } catch { /* a proxy in front may answer in HTML */ }
  if (!error) return `The gateway answered with status ${answer.status} and no reason.`;
  const wait = Number(answer.headers.get("Retry-After"));
  return sentence(error) + (wait > 0 ? ` Try again in ${wait} s.` : "");
}

function sentence({ code, message, param }) {
  const text = (message || "The request failed.").trim();
  const field = code === "invalid_request" && param && !text.includes(param) ? ` Field: ${param}.` : "";
  return `${/[.!?]$/.test(text) ? text : `${text}.`}${field}${code ? ` (${code})` : ""}`;
}

function showTurn(speaker) {
  const article = element("article", "turn");
  const thought = element("p", "thought");
  const answer = element("p");
  article.append(element("h3", "", speaker), thought, answer);
  page.transcript.append(article);
  page.transcript.scrollTop = page.transcript.scrollHeight;
  page.transcript.scrollIntoView({ block: "nearest" });
  return { article, thought, answer };
}

/** Follows the text as it grows, unless the visitor has scrolled up to read. */
function append(paragraph, text) {
  const { transcript } = page;
  const atEnd = transcript.scrollHeight - transcript.scrollTop - transcript.clientHeight < 40;
  paragraph.append(text);
  if (atEnd) transcript.scrollTop = transcript.scrollHeight;
}

/** While busy, screen readers wait with the answer: they read it once, whole. */
function setBusy(turn, busy) {
  turn.article.classList.toggle("writing", busy);
  page.transcript.setAttribute("aria-busy", String(busy));
  page.send.setAttribute("aria-disabled", String(busy));
  if (!busy && document.activeElement === page.stop) page.prompt.focus();
  page.stop.disabled = !busy;
}

function showStatus(text, bad = false) {
  setText(page.status, text);
  page.status.classList.toggle("bad", bad);
}

/* ---- small things ---- */

function element(tag, className = "", text = "") {
  const made = document.createElement(tag);
  if (className) made.className = className;
  if (text) made.textContent = text;
  return made;
}

function setText(target, text) {
  if (target.textContent !== text) target.textContent = text;
}

function figure(value) {
  return value.toLocaleString("en", { maximumFractionDigits: value < 10 ? 1 : 0 });
}

function duration(ms) {
  return ms < 1000 ? `${Math.round(ms)} ms` : `${(ms / 1000).toFixed(1)} s`;
}

start();
