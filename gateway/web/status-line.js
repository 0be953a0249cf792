/* The moving figure of /status: tokens/s of the last two minutes. Each point comes in from the right. */

import { byId, number, setText } from "./lib/dom.js";

const WINDOW_MS = 120_000;
const WIDTH = 600; // of the drawing, whose units these are
const HEIGHT = 96;

const stillness = matchMedia("(prefers-reduced-motion: reduce)");

export class Line {
  #points = [];
  #every;
  #step;

  /** A point is added every so many milliseconds. */
  constructor(every) {
    this.#every = every;
    this.#step = WIDTH * every / WINDOW_MS;
    stillness.addEventListener("change", () => this.#draw());
  }

  /** What is measured now; null is a gap. */
  add(value) {
    const now = performance.now();
    this.#points = this.#points.filter(({ at }) => at > now - WINDOW_MS - 2 * this.#every);
    this.#points.push({ at: now, value });
    this.#draw();
  }

  #draw() {
    const newest = this.#points.at(-1)?.at;
    const highest = Math.max(0, ...this.#points.map(({ value }) => value));
    const right = WIDTH - 1 + (stillness.matches ? 0 : this.#step);
    const place = ({ at, value }) => [
      right - (newest - at) / WINDOW_MS * WIDTH,
      HEIGHT - 3 - value / Math.max(highest, 1) * (HEIGHT - 10),
    ].map((part) => part.toFixed(1));
    const pieces = this.#pieces().map((piece) => piece.map(place));
    byId("trace").setAttribute("d", pieces.map((piece) => `M${piece.join("L")}h.01`).join(""));
    byId("area").setAttribute("d", pieces.map((piece) =>
      `M${piece[0][0]},${HEIGHT}L${piece.join("L")}L${piece.at(-1)[0]},${HEIGHT}Z`).join(""));
    this.#move();
    setText(byId("span"), `The last two minutes, for as long as this page is open.${
      highest > 0 ? ` The highest is ${number(highest)}.` : ""}`);
  }

  /** By one step to the left, until the next point comes. */
  #move() {
    const moving = byId("moving");
    for (const motion of moving.getAnimations()) motion.cancel();
    if (stillness.matches) return;
    moving.animate(
      [{ transform: "translateX(0)" }, { transform: `translateX(${-this.#step}px)` }],
      { duration: this.#every, easing: "linear", fill: "forwards" },
    );
  }

  /** Runs of points that follow each other, without those of which nothing is known. */
  #pieces() {
    const found = [];
    let last = null;
    for (const point of this.#points) {
      if (point.value !== null) {
        if (last === null || point.at - last.at > 3 * this.#every) found.push([]);
        found.at(-1).push(point);
      }
      last = point.value === null ? null : point;
    }
    return found;
  }
}
