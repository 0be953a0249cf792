/* Rows of tables. On narrow screens the tables are no tables to CSS; with roles they stay tables to screen readers. */

import { element } from "./dom.js";

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

/** A button in a row, named for who does not see the row. */
export function rowButton(text, of, press) {
  const button = element("button", { type: "button", class: "small", "aria-label": `${text} ${of}` }, text);
  button.addEventListener("click", () => press(button));
  return button;
}

const FORM = new Intl.DateTimeFormat("en-GB", { dateStyle: "medium", timeStyle: "short" });
const EXACT = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "short", hour: "2-digit", minute: "2-digit", second: "2-digit" });

/** A moment, in Unix seconds, by this computer's clock. */
export function time(seconds, { exact = false } = {}) {
  const date = new Date(seconds * 1000);
  if (Number.isNaN(date.valueOf())) return element("time", {}, "far away");
  return element("time", { datetime: date.toISOString() }, (exact ? EXACT : FORM).format(date));
}
