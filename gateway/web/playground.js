/* The page /playground: the key, the tabs, the models' list and the code; chats and images are in files of their own. */

import { arrangeTabs, byId } from "./lib/dom.js";
import { codeBlock } from "./lib/markdown.js";
import { Models } from "./lib/models.js";
import { keepKeyOf } from "./lib/session.js";
import { snippets } from "./lib/snippets.js";
import { Chat } from "./playground-chat.js";
import { Images } from "./playground-images.js";

const REFRESH_MS = 2_000; // of the models' states and speeds
const CODE_MS = 150; // between a change and the code that shows it

let shown = "chat";
let codeTimer = 0;
const models = new Models(showModels, { path: "/v1/status?uptime=false", every: REFRESH_MS });
const parts = { chat: new Chat(models, showCodeSoon), images: new Images(models, showCodeSoon) };

function start() {
  keepKeyOf(byId("key"));
  const choose = arrangeTabs(byId("kinds"), (tab) => {
    shown = tab.getAttribute("aria-controls");
    showCodeSoon();
  });
  if (location.hash === "#images") choose(byId("tab-images"));
  arrangeTabs(byId("languages"));
  byId("main").addEventListener("input", showCodeSoon);
  byId("code").addEventListener("toggle", showCodeSoon);
  for (const options of ["options", "image-options"]) {
    // A field that is hidden cannot be shown to be wrong.
    byId(options).addEventListener("invalid", () => { byId(options).open = true; }, true);
  }
  addEventListener("pagehide", () => Object.values(parts).forEach((part) => part.abandon()));
}

function showModels() {
  Object.values(parts).forEach((part) => part.showModels());
  showCodeSoon();
}

function showCodeSoon() {
  clearTimeout(codeTimer);
  if (byId("code").open) codeTimer = setTimeout(showCode, CODE_MS);
}

function showCode() {
  const { path, body } = parts[shown].request();
  for (const [language, code] of Object.entries(snippets(location.origin, path, body))) {
    const panel = byId(`code-${language}`);
    if (panel.querySelector("code")?.textContent !== code) panel.replaceChildren(codeBlock(code));
  }
}

start();
