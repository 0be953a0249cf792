/* Nodes of the page, without HTML: what is not an element of ours is text. */

const FORBIDDEN = /^(?:style|srcdoc)$|^on/i;
const UNKNOWN = "–";

export const byId = (id) => document.getElementById(id);

/** An element; attributes that are false or null are left out, and functions named `on…` listen. */
export function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function" && name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else if (FORBIDDEN.test(name)) throw new TypeError(`no attribute of ours: ${name}`);
    else if (value !== false && value !== null && value !== undefined) made.setAttribute(name, value === true ? "" : value);
  }
  made.append(...children);
  return made;
}

/** Leaves a text as it is if it would be the same, so that a selection stays. */
export function setText(target, text) {
  if (target.textContent !== text) target.textContent = text;
}

/** For people: what was not measured is a dash. */
export function number(value) {
  if (value === null || value === undefined) return UNKNOWN;
  return value.toLocaleString("en", { maximumFractionDigits: value < 10 ? 1 : 0 });
}

export function duration(ms) {
  if (ms === null || ms === undefined) return UNKNOWN;
  return ms < 1000 ? `${Math.round(ms)} ms` : `${(ms / 1000).toFixed(1)} s`;
}

export function counted(count, one, many = `${one}s`) {
  return `${number(count)} ${count === 1 ? one : many}`;
}

const DAY = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "short", year: "numeric", timeZone: "UTC" });
const HOUR = new Intl.DateTimeFormat("en-GB", { weekday: "short", hour: "2-digit", minute: "2-digit" });

/** UTC's, of a moment in milliseconds. */
export const dayOf = (moment) => DAY.format(moment);

/** The visitor's. */
export const hourOf = (moment) => HOUR.format(moment);

const toAnnounce = new Map(); // texts, by where they are said

/** Said once to who does not see the page, in an element with the role `status`: the page's, `announce`, unless a
    dialog is over that. */
export function announce(text, target = byId("announce")) {
  if (toAnnounce.has(target)) {
    toAnnounce.get(target).push(text);
    return;
  }
  toAnnounce.set(target, [text]);
  target.textContent = ""; // or the same text would not be said again
  setTimeout(() => {
    target.textContent = toAnnounce.get(target).join(" ");
    toAnnounce.delete(target);
  }, 100);
}

/** A button that copies what `text()` gives when it is pressed. */
export function copyButton(text, label = "Copy") {
  const button = element("button", { type: "button", class: "copy-code" });
  const show = (shown, name) => Object.assign(button, { textContent: shown, ariaLabel: name });
  button.addEventListener("click", async () => {
    const over = button.closest("dialog");
    const copied = await copy(text(), over ?? document.body);
    show(copied ? "Copied" : "Not copied", null);
    announce(copied ? "Copied" : "The browser did not let it be copied", over?.querySelector("[role=status]") ?? undefined);
    setTimeout(show, 1500, "Copy", label);
  });
  show("Copy", label);
  return button;
}

/** Browsers give the clipboard only to HTTPS and localhost; elsewhere there is the older way, which takes a field `within`
    what can be reached: below a dialog, nothing can. */
async function copy(text, within) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    const field = element("textarea", { class: "unseen", readonly: true });
    field.value = text;
    const focused = document.activeElement;
    within.append(field);
    field.select();
    const copied = document.execCommand("copy");
    field.remove();
    focused?.focus({ preventScroll: true });
    return copied;
  }
}

/** Tabs of a `tablist`, each of which has its panel's id in `aria-controls`; arrow keys go from one to the next. */
export function arrangeTabs(list, chosen = () => {}) {
  const tabs = [...list.querySelectorAll("[role=tab]")];
  const choose = (tab, { focus = false } = {}) => {
    for (const each of tabs) {
      each.setAttribute("aria-selected", String(each === tab));
      each.tabIndex = each === tab ? 0 : -1;
      byId(each.getAttribute("aria-controls")).hidden = each !== tab;
    }
    if (focus) tab.focus();
    chosen(tab);
  };
  for (const tab of tabs) tab.addEventListener("click", () => choose(tab));
  list.addEventListener("keydown", (event) => {
    const at = tabs.indexOf(document.activeElement);
    const to = { ArrowRight: at + 1, ArrowLeft: at - 1, Home: 0, End: -1 }[event.key];
    if (to === undefined || at < 0) return;
    event.preventDefault();
    choose(tabs.at(to % tabs.length), { focus: true });
  });
  return choose;
}
