/* The API key, kept in this tab alone (sessionStorage); where a private window refuses that, until the page is left.
   In the storage it is there for all pages of the tab: what one forgets, none has kept. */

const NAME = "crofai.key";

let kept = "";

export function readKey() {
  try {
    return sessionStorage.getItem(NAME) ?? kept;
  } catch {
    return kept;
  }
}

export function keepKey(key) {
  kept = "";
  try {
    if (key) sessionStorage.setItem(NAME, key);
    else sessionStorage.removeItem(NAME);
  } catch {
    kept = key;
  }
}

/** Has a field show the key, and keep what is typed into it. */
export function keepKeyOf(field) {
  if (field.value) keepKey(field.value.trim()); // typed before this script was there
  field.value = readKey();
  field.addEventListener("input", () => keepKey(field.value.trim()));
  // Another page may have changed it before this one was come back to.
  addEventListener("pageshow", ({ persisted }) => { if (persisted) field.value = readKey(); });
}
