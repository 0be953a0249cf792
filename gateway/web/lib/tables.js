/* Rows of tables. On narrow screens the tables are no tables to CSS; with roles they stay tables to screen readers. */

import { element, number, setText } from "./dom.js";

/** A row; of each cell its label, which narrow screens show, and what is in it. */
export function row(id, ...cells) {
  return element("tr", { role: "row", "data-id": id }, ...cells);
}

/** A cell of text, of nodes, or of both. */
export function cell(label, ...content) {
  return element("td", { role: "cell", "data-label": label || null }, ...content);
}

export function numberCell(label, text) {
  return element("td", { role: "cell", class: "number", "data-label": label }, text);
}

/** A measure; its unit is shown where the table's head is not. One that was not taken, or has no meaning here, is a
    dash. */
export function measureCell(value, unit) {
  return element("td", { role: "cell", class: (value ?? null) === null ? "number none" : "number", "data-unit": unit }, number(value));
}

/** A button in a row, named for who does not see the row. */
export function rowButton(text, of, press) {
  const button = element("button", { type: "button", class: "small" });
  nameButton(button, text, of);
  button.addEventListener("click", () => press(button));
  return button;
}

export function nameButton(button, text, of) {
  button.setAttribute("aria-label", `${text} ${of}`);
  button.dataset.name = text;
  setText(button, text);
}

/* ---- rows that change ---- */

export function rowOf(body, id) {
  return [...body.rows].find((each) => each.dataset.id === id);
}

/** Changes rows of a table. Who was at a button of one is at the same one afterwards. */
export function changeRows(body, change) {
  const comeBack = placeOf(document.activeElement);
  change();
  if (comeBack.body === body) comeBack();
}

/** Where somebody is: gives a function that leads to the button of the same name in the row of the same id, whatever
    became of the rows meanwhile, or to the heading above if there is none. It does nothing for who is elsewhere. */
export function placeOf(at) {
  const body = at.closest("tbody");
  const id = at.closest("tr")?.dataset.id;
  const comeBack = () => {
    if (!body || !isLost()) return;
    if (at.isConnected) at.focus();
    else (rowOf(body, id)?.querySelector(`[data-name="${at.dataset.name}"]`) ?? headingOf(body)).focus();
  };
  return Object.assign(comeBack, { body });
}

/** A button is there for as long as there is more to show. */
export function showMore(button, more) {
  if (!more && document.activeElement === button) headingOf(button).focus();
  button.hidden = !more;
}

function isLost() {
  const at = document.activeElement ?? document.body;
  return at === document.body || at.closest("dialog:not([open])") !== null;
}

function headingOf(part) {
  const heading = part.closest("section").querySelector("h2");
  heading.tabIndex = -1;
  return heading;
}

/** Has a list or table consist of these, each known by its `data-id`. What is the same already is left alone, so that
    a refresh undoes no selection of text. Nothing in it may listen: what is new comes without that. */
export function renew(list, made) {
  const known = new Map([...list.children].map((part) => [part.dataset.id, part]));
  const parts = made.map((part) => fit(known.get(part.dataset.id), part));
  if (parts.length !== list.children.length || parts.some((part, at) => part !== list.children[at])) list.replaceChildren(...parts);
}

function fit(old, made) {
  if (!old) return made;
  if (old.isEqualNode(made)) return old;
  if (old.nodeType === Node.TEXT_NODE) {
    old.data = made.data;
    return old;
  }
  for (const { name } of [...old.attributes]) if (!made.hasAttribute(name)) old.removeAttribute(name);
  for (const { name, value } of made.attributes) if (old.getAttribute(name) !== value) old.setAttribute(name, value);
  const [before, after] = [[...old.childNodes], [...made.childNodes]];
  const isAlike = before.length === after.length && before.every((node, at) => node.nodeName === after[at].nodeName);
  if (isAlike) before.forEach((node, at) => fit(node, after[at]));
  else old.replaceChildren(...after);
  return old;
}

const FORM = new Intl.DateTimeFormat("en-GB", { dateStyle: "medium", timeStyle: "short" });
const EXACT = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "short", hour: "2-digit", minute: "2-digit", second: "2-digit" });

/** A moment, in Unix seconds, by this computer's clock. */
export function time(seconds, { exact = false } = {}) {
  const date = new Date(seconds * 1000);
  if (Number.isNaN(date.valueOf())) return element("time", {}, "far away");
  return element("time", { datetime: date.toISOString() }, (exact ? EXACT : FORM).format(date));
}
