/* The API key, kept in this tab alone (sessionStorage); where a private window refuses that, until the page is left. */

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
  kept = key;
  try {
    if (key) sessionStorage.setItem(NAME, key);
    else sessionStorage.removeItem(NAME);
  } catch { /* `kept` has it */ }
}

/** Has a field show the key, and keep what is typed into it. */
export function keepKeyOf(field) {
  if (field.value) keepKey(field.value.trim()); // typed before this script was there
  field.value = readKey();
  field.addEventListener("input", () => keepKey(field.value.trim()));
}
