/* Images: one request at a time, its steps, and a gallery of what came. */

import { JobStream } from "./lib/api.js";
import { announce, byId, duration, element } from "./lib/dom.js";
import { fillChoice, keyTrouble, numbers, showPool, showStatus } from "./lib/fields.js";
import { Run } from "./lib/run.js";

const PATH = "/v1/images/generations";
const MOST_KEPT = 24; // images, each of some megabytes

export class Images {
  #models;
  #changed;
  #run = null;

  /** `changed()` is called when another request than before would be sent. */
  constructor(models, changed) {
    this.#models = models;
    this.#changed = changed;
    byId("image-form").addEventListener("submit", (event) => {
      event.preventDefault();
      this.#make();
    });
    byId("image-form").addEventListener("keydown", (event) => {
      if (event.key === "Escape") this.#run?.stop();
    });
    byId("image-stop").addEventListener("click", () => this.#run?.stop());
    byId("image-clear").addEventListener("click", () => this.#clear());
    byId("image-model").addEventListener("change", () => this.#showPool());
  }

  /** The request that would be made now. */
  request() {
    return { path: PATH, body: imageBody(byId("image-prompt").value.trim() || byId("image-prompt").placeholder) };
  }

  showModels() {
    if (this.#models.at) fillChoice(byId("image-model"), this.#models.of("image"), "image", new URLSearchParams(location.search).get("model"));
    this.#showPool();
  }

  abandon() {
    this.#run?.abandon();
  }

  async #make() {
    const prompt = byId("image-prompt").value.trim();
    if (this.#run) return;
    if (!prompt) return byId("image-prompt").focus();
    const trouble = byId("image-model").value ? keyTrouble() : "There is no image model to ask.";
    if (trouble) {
      this.#say(trouble, { bad: true, loud: true });
      if (keyTrouble()) byId("key").focus();
      return;
    }
    const body = imageBody(prompt);
    const stream = new JobStream(PATH, body, { isLast: ({ type }) => type === "image_generation.completed" });
    this.#run = new Run(stream, (text, how) => this.#say(text, how), "step");
    this.#showBusy();
    this.#say("Waiting for the first step…");
    try {
      const made = { body, from: performance.now(), pictures: [], to: null };
      const outcome = await this.#run.read((event) => this.#take(event, made));
      this.#conclude(made, outcome);
    } finally {
      this.#run = null;
      this.#showBusy();
      this.#changed();
    }
  }

  #take(event, made) {
    if (event.type === "image_generation.progress") {
      const { step, steps } = event;
      Object.assign(byId("progress"), { hidden: false, max: steps, value: step });
      this.#say(`Step ${step} of ${steps}`);
    } else if (event.type === "image_generation.completed") {
      made.to ??= performance.now();
      made.pictures.push(event);
    }
  }

  #conclude({ body, from, to, pictures }, outcome) {
    const items = pictures.map((picture) => galleryItem(picture, body));
    byId("gallery").prepend(...items);
    for (const item of [...byId("gallery").children].slice(MOST_KEPT)) forget(item);
    const count = pictures.length === 1 ? "1 image" : `${pictures.length} images`;
    if (outcome && !(pictures.length && !outcome.bad)) this.#say(outcome.text, { bad: outcome.bad, loud: true });
    else this.#say(`${count} after ${duration(to - from)}.`, { loud: true });
  }

  #clear() {
    [...byId("gallery").children].forEach(forget);
    this.#say("");
    byId("image-clear").hidden = true;
    byId("image-prompt").focus();
  }

  #showPool() {
    showPool(byId("image-pool"), this.#models, byId("image-model").value);
  }

  #say(text, { bad = false, loud = false } = {}) {
    showStatus(byId("image-status"), text, bad);
    if (loud) announce(text);
  }

  #showBusy() {
    const busy = Boolean(this.#run);
    byId("make").setAttribute("aria-disabled", String(busy));
    if (!busy && document.activeElement === byId("image-stop")) byId("image-prompt").focus();
    byId("image-stop").disabled = !busy;
    byId("progress").hidden = true;
    byId("image-clear").hidden = !byId("gallery").children.length;
  }
}

function imageBody(prompt) {
  const [negative, size] = ["negative_prompt", "size"].map((id) => byId(id).value.trim());
  return {
    model: byId("image-model").value,
    prompt,
    ...(negative && { negative_prompt: negative }),
    ...(size && { size }),
    ...numbers({ n: "n", steps: "steps", guidance_scale: "guidance_scale", seed: "image-seed" }),
    stream: true,
  };
}

function galleryItem({ b64_json: base64, seed, size, usage }, { model, prompt }) {
  const bytes = Uint8Array.from(atob(base64), (character) => character.charCodeAt(0));
  const address = URL.createObjectURL(new Blob([bytes], { type: "image/png" }));
  const facts = [model, size, `seed ${seed}`, usage?.image_steps && `${usage.image_steps} steps`].filter(Boolean);
  return element("li", {}, element("figure", {},
    element("img", { src: address, alt: prompt }),
    element("figcaption", {},
      element("p", { class: "prompt" }, prompt),
      element("small", {}, facts.join(", ")),
      element("a", { href: address, download: `${model}-${seed}.png`.replace(/[^\w.-]/g, "_") }, "Download"))));
}

/** Gives back the memory, too. */
function forget(item) {
  URL.revokeObjectURL(item.querySelector("img").src);
  item.remove();
}
