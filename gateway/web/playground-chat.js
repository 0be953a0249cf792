/* Chats: one model answers, or two beside each other. Each keeps its own conversation. */

import { JobStream } from "./lib/api.js";
import { announce, byId, duration, element, number, setText } from "./lib/dom.js";
import { fillChoice, keyTrouble, numbers, showPool, showStatus } from "./lib/fields.js";
import { Markdown } from "./lib/markdown.js";
import { Meter } from "./lib/meter.js";
import { Run } from "./lib/run.js";

const PATH = "/v1/chat/completions";
const REDRAW_MS = 50;
const NEAR_END = 40; // pixels

export class Chat {
  #models;
  #columns = [new Column("a")];
  #changed;

  /** `changed()` is called when another request than before would be sent. */
  constructor(models, changed) {
    this.#models = models;
    this.#changed = changed;
    byId("chat-form").addEventListener("submit", (event) => {
      event.preventDefault();
      this.#send();
    });
    byId("prompt").addEventListener("keydown", (event) => {
      if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
      event.preventDefault();
      byId("chat-form").requestSubmit();
    });
    byId("chat-form").addEventListener("keydown", (event) => {
      if (event.key === "Escape") this.#stop();
    });
    byId("stop").addEventListener("click", () => this.#stop());
    byId("clear").addEventListener("click", () => this.#clear());
    byId("compare").addEventListener("click", () => this.#compare());
    this.#followChoice(this.#columns[0]);
  }

  /** The request that Send would make; of two models, to the first. */
  request() {
    const [{ model, messages }] = this.#columns;
    const draft = byId("prompt").value.trim();
    const asked = messages.slice(0, messages.findLastIndex(({ role }) => role === "user") + 1);
    const content = draft || byId("prompt").placeholder;
    const conversation = draft || !asked.length ? [...messages, { role: "user", content }] : asked;
    return { path: PATH, body: chatBody(model, conversation, readOptions()) };
  }

  showModels() {
    const chats = this.#models.of("chat");
    if (!chats.length && !this.#models.at) return this.#shown.forEach((column) => this.#showPool(column));
    const [first, second] = this.#columns;
    fillChoice(first.part("model"), chats, "chat", new URLSearchParams(location.search).get("model"));
    if (second) fillChoice(second.part("model"), chats, "chat", other(chats, first.model));
    this.#columns.forEach((column) => this.#showPool(column));
  }

  abandon() {
    for (const { run } of this.#columns) run?.abandon();
  }

  get #shown() {
    return this.#columns.filter((column) => !column.part("column").hidden);
  }

  get #busy() {
    return this.#columns.some(({ run }) => run);
  }

  async #send() {
    const prompt = byId("prompt").value.trim();
    if (this.#busy) return;
    if (!prompt) return byId("prompt").focus();
    const columns = this.#shown;
    const trouble = columns.every(({ model }) => model)
      ? keyTrouble()
      : "The list of models has not loaded, so there is no model to ask.";
    if (trouble) {
      columns.forEach((column) => column.say(trouble, { bad: true, loud: true }));
      if (keyTrouble()) byId("key").focus();
      return;
    }
    const options = readOptions();
    byId("prompt").value = "";
    try {
      const answers = columns.map((column) => column.ask(prompt, options));
      this.#showBusy();
      const answered = await Promise.all(answers);
      if (!answered.some(Boolean)) byId("prompt").value ||= prompt;
    } finally {
      this.#showBusy();
      this.#changed();
    }
  }

  #stop() {
    for (const { run } of this.#columns) run?.stop();
  }

  #clear() {
    this.#stop();
    this.#columns.forEach((column) => column.clear());
    byId("clear").hidden = true;
    byId("prompt").focus();
    this.#changed();
  }

  #compare() {
    const wanted = byId("compare").getAttribute("aria-pressed") !== "true";
    byId("compare").setAttribute("aria-pressed", String(wanted));
    if (this.#columns.length === 1) this.#addColumn();
    const second = this.#columns[1];
    second.part("column").hidden = !wanted;
    if (!wanted) second.run?.stop();
    this.showModels();
  }

  #addColumn() {
    const first = this.#columns[0].part("column");
    const node = first.cloneNode(true);
    for (const part of [node, ...node.querySelectorAll("[id], [for]")]) {
      for (const name of ["id", "for", "aria-describedby"]) {
        const value = part.getAttribute(name);
        if (value) part.setAttribute(name, value.replace(/-a$/, "-b"));
      }
    }
    node.setAttribute("aria-label", "Second model");
    first.after(node);
    const second = new Column("b");
    this.#columns.push(second);
    second.clear();
    second.part("model").replaceChildren();
    this.#followChoice(second);
  }

  #followChoice(column) {
    column.part("model").addEventListener("change", () => this.#showPool(column));
  }

  #showPool(column) {
    showPool(column.part("pool"), this.#models, column.model);
  }

  #showBusy() {
    const busy = this.#busy;
    byId("send").setAttribute("aria-disabled", String(busy));
    if (!busy && document.activeElement === byId("stop")) byId("prompt").focus();
    byId("stop").disabled = !busy;
    byId("clear").hidden = !busy && this.#columns.every(({ isEmpty }) => isEmpty);
  }
}

/** One model, its conversation, and how fast its last answer came. */
class Column {
  messages = [];
  run = null;
  #name;

  constructor(name) {
    this.#name = name;
  }

  part(name) {
    return byId(`${name}-${this.#name}`);
  }

  get model() {
    return this.part("model").value;
  }

  get isEmpty() {
    return !this.part("transcript").hasChildNodes();
  }

  say(text, { bad = false, loud = false } = {}) {
    showStatus(this.part("status"), text, bad);
    if (loud) announce(this.model ? `${this.model}: ${text}` : text);
  }

  clear() {
    this.messages = [];
    this.part("transcript").replaceChildren();
    this.say("");
    this.#showMeter(new Meter());
  }

  /** Streams one answer. Whether there is any. */
  async ask(prompt, options) {
    const { messages, model } = this;
    messages.push({ role: "user", content: prompt });
    const body = chatBody(model, messages, options);
    body.stream_options = { ...body.stream_options, continuous_usage_stats: true };
    const say = (text, how) => {
      if (this.messages === messages) this.say(text, how); // else a new chat has begun
    };
    this.run = new Run(new JobStream(PATH, body), say, "token");
    const turns = [element("article", { class: "turn" }, element("h3", {}, "You"), element("p", { class: "asked" }, prompt))];
    const answer = new Answer(model);
    turns.push(answer.node);
    this.#add(turns);
    this.say("Waiting for the first token…");
    const meter = new Meter();
    const redraw = () => {
      if (this.messages !== messages) return;
      this.#following(() => answer.draw());
      this.#showMeter(meter);
    };
    const timer = setInterval(redraw, REDRAW_MS);
    try {
      const outcome = await this.run.read((chunk) => take(chunk, answer, meter, say), () => meter.broke());
      answer.end();
      redraw();
      return this.#conclude(messages, turns, answer, outcome);
    } finally {
      clearInterval(timer);
      this.run = null;
    }
  }

  #conclude(messages, turns, answer, outcome) {
    if (answer.text) messages.push({ role: "assistant", content: answer.text });
    else messages.pop();
    if (this.messages !== messages) return true;
    if (answer.isEmpty) turns.forEach((turn) => turn.remove());
    const { text, bad } = outcome ?? { text: END[answer.reason] ?? (answer.isEmpty ? NOTHING : "Done."), bad: false };
    this.say(text, { bad, loud: true });
    return Boolean(answer.text);
  }

  #add(turns) {
    const part = this.part("transcript");
    part.append(...turns);
    part.scrollTop = part.scrollHeight;
  }

  /** Follows the text as it grows, unless the visitor has scrolled up to read. */
  #following(change) {
    const part = this.part("transcript");
    const atEnd = part.scrollHeight - part.scrollTop - part.clientHeight < NEAR_END;
    change();
    if (atEnd) part.scrollTop = part.scrollHeight;
  }

  #showMeter({ first, unit, amount, rate }) {
    setText(this.part("first"), duration(first));
    setText(this.part("unit"), unit);
    setText(this.part("rate-unit"), `${unit}/s`);
    setText(this.part("amount"), number(amount));
    setText(this.part("rate"), number(rate));
  }
}

function take(chunk, answer, meter, say) {
  const { delta = {}, finish_reason: reason } = chunk.choices?.[0] ?? {};
  const thought = delta.reasoning ?? delta.reasoning_content ?? "";
  const text = delta.content ?? "";
  if (chunk.choices?.length) meter.note(chunk.usage?.completion_tokens, Boolean(thought || text));
  else if (chunk.usage) meter.total(chunk.usage.completion_tokens);
  if (answer.isEmpty && (thought || text)) say("Answering…");
  answer.take(thought, text);
  answer.reason = reason ?? answer.reason;
}

const NOTHING = "The model ended without any text.";
const END = {
  length: "Cut off: the limit of tokens is reached.",
  content_filter: "Cut off by a filter.",
};

/** One answer as it grows: what the model thinks is folded. Texts are drawn when `draw` is called. */
class Answer {
  text = "";
  reason = null;
  #thought = "";
  #drawn = { text: 0, thought: 0 };
  #thinking = { from: null, to: null };
  #markdown;
  #parts;

  constructor(model) {
    const summary = element("summary", {}, "Reasoning…");
    const thought = element("div");
    const folded = element("details", { class: "thought", hidden: true }, summary, thought);
    const answer = element("div", { class: "answer" });
    this.node = element("article", { class: "turn answering", "aria-busy": "true" }, element("h3", {}, model), folded, answer);
    this.#parts = { summary, thought, folded };
    this.#markdown = new Markdown(answer);
  }

  get isEmpty() {
    return !this.text && !this.#thought;
  }

  take(thought, text) {
    if (thought) this.#thinking.from ??= performance.now();
    if (text && this.#thinking.from !== null) this.#thinking.to ??= performance.now();
    this.#thought += thought;
    this.text += text;
  }

  draw() {
    const { summary, thought, folded } = this.#parts;
    if (this.#thought.length > this.#drawn.thought) {
      folded.hidden = false;
      thought.append(this.#thought.slice(this.#drawn.thought));
      this.#drawn.thought = this.#thought.length;
    }
    const { from, to } = this.#thinking;
    if (to !== null) setText(summary, `Reasoning, ${duration(to - from)}`);
    if (this.text.length > this.#drawn.text) {
      this.#markdown.append(this.text.slice(this.#drawn.text));
      this.#drawn.text = this.text.length;
    }
  }

  end() {
    if (this.#thinking.from !== null) this.#thinking.to ??= performance.now();
    this.draw();
    this.node.classList.remove("answering");
    this.node.removeAttribute("aria-busy");
  }
}

/** What to hold a model against: another that is ready, or else itself. */
function other(chats, model) {
  return chats.find(({ id, state }) => id !== model && state === "ready")?.id ?? model;
}

/** What the fields say; what is left empty is left out. */
function readOptions() {
  const stop = byId("stop-texts").value.split("\n").filter(Boolean).map((text) => text.replaceAll("\\n", "\n"));
  return {
    system: byId("system").value.trim(),
    parameters: {
      ...numbers({ temperature: "temperature", top_p: "top_p", max_tokens: "max_tokens", seed: "seed" }),
      ...(stop.length && { stop }),
    },
  };
}

function chatBody(model, messages, { system, parameters }) {
  return {
    model,
    messages: [...(system ? [{ role: "system", content: system }] : []), ...messages],
    ...parameters,
    stream: true,
    stream_options: { include_usage: true },
  };
}
