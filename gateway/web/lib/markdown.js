/* Markdown, as language models write it, as nodes. It never becomes HTML: what looks like a tag stays text.

   All loops are bounded by the length of what they read: a model may write anything. */

import { copyButton, element } from "./dom.js";

const DEEPEST = 8; // lists and quotes within each other
const MOST_OPEN = 32; // emphases within each other
const LONGEST = 20_000; // characters of a paragraph; a longer one is shown as it is
const SCHEMES = new Set(["http:", "https:", "mailto:"]);

/** A text that grows. Blocks that have ended stay as they are; the last one is made anew as it changes. */
export class Markdown {
  #root;
  #source = ""; // of the blocks that may still change
  #open = []; // those, each with its node

  constructor(root) {
    this.#root = root;
  }

  append(text) {
    this.#source += text;
    const lines = this.#source.split("\n");
    const blocks = [...blocksOf(lines)].map((block) => ({ ...block, text: lines.slice(block.start, block.end).join("\n") }));
    blocks.forEach((block, at) => this.#draw(block, this.#open[at]));
    for (const { node } of this.#open.slice(blocks.length)) node.remove();
    // A line that has not ended may become something else.
    const first = Math.max(0, blocks.findLastIndex(({ start }) => start < lines.length - 1));
    this.#open = blocks.slice(first);
    this.#source = lines.slice(this.#open[0]?.start ?? 0).join("\n");
  }

  #draw(block, old) {
    if (old && old.kind === block.kind && old.text === block.text) block.node = old.node;
    else if (old && grownCode(old, block)) block.node = old.node;
    else {
      block.node = block.build();
      if (old) old.node.replaceWith(block.node);
      else this.#root.append(block.node);
    }
  }
}

/** Only text was added to a block of code: the rest of it stays, with what is selected there. */
function grownCode(old, block) {
  if (old.kind !== "code" || block.kind !== "code" || old.language !== block.language) return false;
  if (!block.code.startsWith(old.code)) return false;
  old.node.querySelector("code").firstChild.appendData(block.code.slice(old.code.length));
  return true;
}

/* ---- blocks: each has a kind, its lines from `start` to before `end`, and what builds its node ---- */

const FENCE = /^( {0,3})(`{3,}|~{3,})([^`]*)$/;
const HEADING = /^ {0,3}(#{1,6})[ \t]+(.*)$/;
const RULE = /^ {0,3}([-*_])[ \t]*(?:\1[ \t]*){2,}$/;
const QUOTE = /^ {0,3}> ?/;
const MARKER = /^( *)([-*+]|\d{1,9}[.)])([ \t]+)(.*)$/;
const DELIMITERS = /^\|?\s*:?-+:?\s*(?:\|\s*:?-+:?\s*)*\|?$/;
const KINDS = [fence, heading, rule, quote, list, table, paragraph];

function* blocksOf(lines, depth = 0) {
  let at = 0;
  while (at < lines.length) {
    if (isBlank(lines[at])) {
      at += 1;
      continue;
    }
    for (const kind of KINDS) {
      const block = kind(lines, at, depth);
      if (!block) continue;
      yield { start: at, ...block };
      at = block.end;
      break;
    }
  }
}

function build(lines, depth) {
  return [...blocksOf(lines, depth)].map((block) => block.build());
}

function fence(lines, at) {
  const found = FENCE.exec(lines[at]);
  if (!found) return null;
  const [, indent, mark, info] = found;
  const content = [];
  let end = at + 1;
  while (end < lines.length && !closes(lines[end], mark)) {
    content.push(unindented(lines[end], indent.length));
    end += 1;
  }
  const language = info.trim().split(/\s/, 1)[0];
  const code = content.join("\n");
  return { kind: "code", end: Math.min(end + 1, lines.length), code, language, build: () => codeBlock(code, language) };
}

function closes(line, mark) {
  const text = line.trim();
  return text.length >= mark.length && text[0] === mark[0] && new Set(text).size === 1;
}

/** Code, its language, and a button that copies it. */
export function codeBlock(code, language = "") {
  const text = document.createTextNode(code);
  return element("figure", { class: "code" },
    element("figcaption", {}, element("span", {}, language), copyButton(() => text.data, "Copy the code")),
    element("pre", { tabindex: "0" }, element("code", {}, text)));
}

/** All of one level, below the page's own: a model may leave out levels, which would mislead who hears them. */
function heading(lines, at) {
  const found = HEADING.exec(lines[at]);
  if (!found) return null;
  const [, marks, text] = found;
  return {
    kind: "heading",
    end: at + 1,
    build: () => element("h4", { "data-level": marks.length }, ...inline(text.trim())),
  };
}

function rule(lines, at) {
  return RULE.test(lines[at]) ? { kind: "rule", end: at + 1, build: () => element("hr") } : null;
}

function quote(lines, at, depth) {
  if (depth >= DEEPEST || !QUOTE.test(lines[at])) return null;
  let end = at + 1;
  while (end < lines.length && QUOTE.test(lines[end])) end += 1;
  const inner = lines.slice(at, end).map((line) => line.replace(QUOTE, ""));
  return { kind: "quote", end, build: () => element("blockquote", {}, ...build(inner, depth + 1)) };
}

/** A line that is indented by two or more belongs to the item above. */
function list(lines, at, depth) {
  const first = marker(lines[at]);
  if (!first || depth >= DEEPEST) return null;
  const isSibling = (line) => {
    const found = marker(line);
    return found && found.ordered === first.ordered && found.indent < first.indent + 2 && !RULE.test(line) ? found : null;
  };
  const isInner = (line) => indentOf(line) >= first.indent + 2;
  const items = [];
  let loose = false;
  let end = at;
  while (end < lines.length) {
    const line = lines[end];
    if (isBlank(line)) {
      const next = afterBlanks(lines, end);
      if (next === lines.length || !(isSibling(lines[next]) || isInner(lines[next]))) break;
      loose ||= Boolean(isSibling(lines[next]));
      items.at(-1).lines.push("");
      end = next;
      continue;
    }
    const sibling = isSibling(line);
    if (sibling) items.push({ width: sibling.width, lines: [sibling.text] });
    else if (isInner(line)) items.at(-1).lines.push(unindented(line, items.at(-1).width));
    else if (opens(lines, end)) break;
    else items.at(-1).lines.push(line.trim());
    end += 1;
  }
  return { kind: "list", end, build: () => listElement(first, items, loose, depth) };
}

function listElement(first, items, loose, depth) {
  const start = first.ordered && first.number !== 1 ? first.number : null;
  return element(first.ordered ? "ol" : "ul", { start }, ...items.map(({ lines }) => {
    const [, box] = /^\[([ xX])\] /.exec(lines[0]) ?? [];
    if (box) lines = [`${box === " " ? "☐" : "☑"} ${lines[0].slice(4)}`, ...lines.slice(1)];
    return element("li", {}, ...[...blocksOf(lines, depth + 1)].flatMap((block) =>
      (block.kind === "paragraph" && !loose ? block.content() : [block.build()])));
  }));
}

function marker(line) {
  const found = MARKER.exec(line);
  if (!found) return null;
  const [, indent, mark, space, text] = found;
  const ordered = mark.length > 1;
  return {
    indent: indent.length,
    ordered,
    number: ordered ? Number.parseInt(mark, 10) : null,
    width: indent.length + mark.length + (space.length > 4 ? 1 : space.length),
    text,
  };
}

function table(lines, at) {
  if (!beginsTable(lines, at)) return null;
  let end = at + 2;
  while (end < lines.length && lines[end].includes("|")) end += 1;
  return { kind: "table", end, build: () => tableElement(lines.slice(at, end)) };
}

function beginsTable(lines, at) {
  // The line of dashes has to be whole: with what may follow in it, it would be none.
  if (!lines[at].includes("|") || at + 2 >= lines.length || !DELIMITERS.test(lines[at + 1].trim())) return false;
  return cells(lines[at]).length === cells(lines[at + 1]).length;
}

function tableElement([head, dashes, ...rows]) {
  const names = cells(head);
  const aligned = cells(dashes).map((dash) => (dash.endsWith(":") ? (dash.startsWith(":") ? "center" : "right") : null));
  const row = (tag, texts) => element("tr", {}, ...names.map((_, place) =>
    element(tag, { "data-align": aligned[place], scope: tag === "th" ? "col" : null }, ...inline(texts[place] ?? ""))));
  return element("div", { class: "scroll", tabindex: "0", role: "group", "aria-label": "Table" },
    element("table", {},
      element("thead", {}, row("th", names)),
      element("tbody", {}, ...rows.map((line) => row("td", cells(line))))));
}

function cells(line) {
  const text = line.trim().replace(/^\|/, "");
  return (/(?<!\\)\|$/.test(text) ? text.slice(0, -1) : text)
    .split(/(?<!\\)\|/)
    .map((cell) => cell.trim().replaceAll("\\|", "|"));
}

function paragraph(lines, at) {
  let end = at + 1;
  while (end < lines.length && !isBlank(lines[end]) && !opens(lines, end)) end += 1;
  const content = () => inline(lines.slice(at, end).map((line) => line.trim()).join("\n"));
  return { kind: "paragraph", end, content, build: () => element("p", {}, ...content()) };
}

/** Whether something else begins here, within a paragraph. A number does so only if it is 1: years do, too. */
function opens(lines, at) {
  const line = lines[at];
  if (FENCE.test(line) || HEADING.test(line) || RULE.test(line) || QUOTE.test(line)) return true;
  const found = marker(line);
  return (found && found.text !== "" && (!found.ordered || found.number === 1)) || beginsTable(lines, at);
}

function afterBlanks(lines, from) {
  let at = from;
  while (at < lines.length && isBlank(lines[at])) at += 1;
  return at;
}

function isBlank(line) {
  return line.trim() === "";
}

function indentOf(line) {
  const [space] = /^[ \t]*/.exec(line);
  return space.replaceAll("\t", "    ").length;
}

/** Tabs count as four; what is left of the indent stays as it is. */
function unindented(line, most) {
  let width = 0;
  let at = 0;
  while (width < most && (line[at] === " " || line[at] === "\t")) {
    width += line[at] === "\t" ? 4 : 1;
    at += 1;
  }
  return line.slice(at);
}

/* ---- within a block: texts and nodes ---- */

const SPECIAL = /[\\`*_~[!<\n]|https?:\/\//g;
const PUNCTUATION = /[!-/:-@[-`{-~]/;
const LINK = /\[((?:[^[\]\\]|\\.|\[[^[\]]*\]){0,2000})\]\(\s{0,9}<?([^\s<>()]{0,2000}(?:\([^\s()]{0,2000}\)[^\s<>()]{0,2000}){0,9})>?(?:\s{1,9}"[^"]{0,500}")?\s{0,9}\)/y;
const BRACKETED = /<((?:https?:\/\/|mailto:)[^\s<>]{1,2000})>/y;
const BREAK = /<br ?\/?>/iy;
const BARE = /https?:\/\/[^\s<>"`]{1,2000}/y;
const WORD = /[\p{L}\p{N}_]/u;

/** A run of marks that may begin or end an emphasis. */
class Run {
  constructor(mark, count, opens, closes) {
    Object.assign(this, { mark, count, opens, closes });
  }

  get text() {
    return this.mark.repeat(this.count);
  }
}

function inline(source, linked = true) {
  if (source.length > LONGEST) return [source];
  const special = new RegExp(SPECIAL);
  const context = { source, linked, alone: new Set() };
  const parts = [];
  let from = 0;
  for (let found = special.exec(source); found; found = special.exec(source)) {
    const piece = PIECES[found[0][0]](context, found.index);
    if (!piece) continue;
    if (found.index > from) parts.push(source.slice(from, found.index));
    parts.push(...piece.parts);
    from = piece.end;
    special.lastIndex = from;
  }
  parts.push(source.slice(from));
  return emphasised(parts);
}

/** By its first character, what may be there: its parts and where it ends; null if it is plain text. */
const PIECES = {
  "\\": escaped,
  "`": codeSpan,
  "*": run,
  "_": run,
  "~": run,
  "[": link,
  "!": picture,
  "<": bracketed,
  "\n": (_, at) => ({ parts: [element("br")], end: at + 1 }),
  h: bareAddress,
};

function escaped({ source }, at) {
  const next = source[at + 1] ?? "";
  if (next === "\n") return { parts: [element("br")], end: at + 2 };
  return PUNCTUATION.test(next) ? { parts: [next], end: at + 2 } : null;
}

function codeSpan({ source, alone }, at) {
  const length = runLength(source, at);
  const partner = alone.has(length) ? -1 : findRun(source, at + length, length);
  if (partner < 0) {
    alone.add(length);
    return { parts: [source.slice(at, at + length)], end: at + length };
  }
  const text = source.slice(at + length, partner).replaceAll("\n", " ");
  const padded = text.length > 2 && text.startsWith(" ") && text.endsWith(" ") && text.trim() !== "";
  return { parts: [element("code", {}, padded ? text.slice(1, -1) : text)], end: partner + length };
}

function findRun(source, from, length) {
  let at = source.indexOf("`", from);
  while (at >= 0) {
    const found = runLength(source, at);
    if (found === length) return at;
    at = source.indexOf("`", at + found);
  }
  return -1;
}

function runLength(source, at) {
  let end = at + 1;
  while (source[end] === source[at]) end += 1;
  return end - at;
}

/** Underscores within words are part of names. */
function run({ source }, at) {
  const mark = source[at];
  const count = runLength(source, at);
  const before = source[at - 1] ?? " ";
  const after = source[at + count] ?? " ";
  const inName = (other) => mark === "_" && WORD.test(other);
  const opens = !isBlank(after) && !inName(before);
  const closes = !isBlank(before) && !inName(after);
  return { parts: [new Run(mark, count, opens, closes)], end: at + count };
}

function link({ source, linked }, at) {
  const found = sticky(LINK, source, at);
  if (!found) return null;
  const [all, label, address] = found;
  const content = inline(label, false);
  if (!linked) return { parts: content, end: at + all.length };
  const node = linkElement(address, content.length && label.trim() ? content : [address]);
  return node && { parts: [node], end: at + all.length };
}

/** Of pictures only the address is told: nothing is loaded that a model has thought of. */
function picture(context, at) {
  return context.source[at + 1] === "[" ? link(context, at + 1) : null;
}

function bracketed({ source, linked }, at) {
  const broken = sticky(BREAK, source, at);
  if (broken) return { parts: [element("br")], end: at + broken[0].length };
  const found = linked && sticky(BRACKETED, source, at);
  const node = found && linkElement(found[1], [found[1]]);
  return node ? { parts: [node], end: at + found[0].length } : null;
}

function bareAddress({ source, linked }, at) {
  if (!linked || WORD.test(source[at - 1] ?? " ")) return null;
  const address = withoutEnd(sticky(BARE, source, at)?.[0] ?? "");
  const node = linkElement(address, [address]);
  return node && { parts: [node], end: at + address.length };
}

/** Punctuation at the end is the sentence's, and so is a bracket that was opened before. */
function withoutEnd(address) {
  let text = address;
  const count = (mark) => text.split(mark).length;
  while (/[.,;:!?'*_~\]|]$/.test(text) || (text.endsWith(")") && count(")") > count("("))) text = text.slice(0, -1);
  return text;
}

/** A link that leads nowhere but to a page or a mailbox; null if it would. */
function linkElement(address, content) {
  const href = safeAddress(address);
  return href && element("a", { href, title: href, rel: "noopener noreferrer", target: "_blank" }, ...content);
}

function safeAddress(address) {
  try {
    const url = new URL(address);
    return SCHEMES.has(url.protocol) ? url.href : null;
  } catch {
    return null;
  }
}

/** Texts and nodes, with what stands between two runs of the same mark within an element. */
function emphasised(parts) {
  const frames = [{ run: null, content: [] }];
  for (const part of parts) {
    if (!(part instanceof Run)) {
      frames.at(-1).content.push(part);
      continue;
    }
    if (part.closes) close(frames, part);
    if (part.count && part.opens && frames.length < MOST_OPEN) frames.push({ run: part, content: [] });
    else if (part.count) frames.at(-1).content.push(part.text);
  }
  while (frames.length > 1) fold(frames);
  return frames[0].content.filter((part) => part !== "");
}

function close(frames, ending) {
  while (ending.count) {
    const least = ending.mark === "~" ? 2 : 1;
    const at = frames.findLastIndex(({ run: begun }) => begun?.mark === ending.mark && begun.count >= least);
    if (at < 1 || ending.count < least) return;
    while (frames.length - 1 > at) fold(frames);
    const { run: begun, content } = frames.at(-1);
    const size = Math.min(2, begun.count, ending.count);
    const node = element(ending.mark === "~" ? "del" : size === 2 ? "strong" : "em", {}, ...content);
    begun.count -= size;
    ending.count -= size;
    if (begun.count) frames.at(-1).content = [node];
    else {
      frames.pop();
      frames.at(-1).content.push(node);
    }
  }
}

/** The last frame had no end: its marks are text. */
function fold(frames) {
  const { run: begun, content } = frames.pop();
  frames.at(-1).content.push(begun.text, ...content);
}

function sticky(pattern, source, at) {
  pattern.lastIndex = at;
  return pattern.exec(source);
}
