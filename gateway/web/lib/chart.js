/* Stacked columns, one for each day, as SVG; and the same as a table. All texts are text, whatever is in them. */

import { element, number } from "./dom.js";

const SVG = "http://www.w3.org/2000/svg";
const COLUMN = 10; // units of the picture, of which the column is a part
const GAP = 2;
const HEIGHT = 100;

/** So many have a colour of their own; what is left is summed up as the last. */
const MOST_SERIES = 6;
const OTHERS = "Others";

/** `days` are names of days, the oldest first; `points` are `{ day, id, name, value }`: a series is what has one id. */
export function chart({ days, points, what, by }) {
  const series = largest(points);
  const sums = table(days, points, series);
  const highest = Math.max(0, ...sums.map(total));
  const all = series.reduce((sum, each) => sum + each.sum, 0);
  const about = `${number(all)} ${what} in ${days.length} days, by ${by}`;
  return [
    element("figure", { class: "chart" },
      element("figcaption", {}, element("strong", {}, number(all)), ` ${what} in ${days.length} days`),
      element("p", { class: "most" }, highest ? `${number(highest)} on the busiest day` : "Nothing was used."),
      picture(days, sums, highest, about),
      element("p", { class: "ends" }, element("span", {}, days[0]), element("span", {}, days.at(-1)))),
    legend(series),
    asTable(days, sums, series, what),
  ];
}

function largest(points) {
  const found = new Map();
  for (const { id, name, value } of points) found.set(id, { id, name, sum: (found.get(id)?.sum ?? 0) + value });
  const sorted = tellApart([...found.values()]).sort((a, b) => b.sum - a.sum);
  if (sorted.length <= MOST_SERIES) return sorted;
  const rest = sorted.splice(MOST_SERIES - 1);
  return [...sorted, { name: OTHERS, sum: rest.reduce((sum, each) => sum + each.sum, 0), others: true }];
}

/** Different things may have one name; then their ids are said, too. */
function tellApart(series) {
  const isShared = ({ id, name }) => series.some((other) => other.name === name && other.id !== id);
  return series.map((each) => (isShared(each) ? { ...each, name: `${each.name} (${each.id})` } : each));
}

/** For each day, the values in the order of the series. */
function table(days, points, series) {
  const places = new Map(series.filter(({ others }) => !others).map(({ id }, at) => [id, at]));
  const rows = new Map(days.map((day) => [day, series.map(() => 0)]));
  for (const { day, id, value } of points) {
    const row = rows.get(day);
    if (row) row[places.get(id) ?? series.length - 1] += value;
  }
  return days.map((day) => rows.get(day));
}

function total(values) {
  return values.reduce((sum, value) => sum + value, 0);
}

function picture(days, sums, highest, about) {
  const made = drawn("svg", {
    viewBox: `0 0 ${days.length * COLUMN} ${HEIGHT}`, preserveAspectRatio: "none", role: "img", "aria-label": about,
  });
  days.forEach((day, at) => {
    const column = drawn("g", {});
    const said = drawn("title", {});
    said.textContent = `${day}: ${number(total(sums[at]))}`;
    // The whole height tells the day, however low its column is.
    column.append(said, drawn("rect", { class: "ground", x: at * COLUMN, y: 0, width: COLUMN, height: HEIGHT }));
    let below = HEIGHT;
    sums[at].forEach((value, series) => {
      if (!value) return;
      const height = value / highest * HEIGHT;
      below -= height;
      column.append(drawn("rect", {
        class: `s${series}`, x: at * COLUMN + GAP / 2, y: below.toFixed(3), width: COLUMN - GAP, height: height.toFixed(3),
      }));
    });
    made.append(column);
  });
  return made;
}

function drawn(tag, attributes) {
  const made = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  return made;
}

function legend(series) {
  return element("ul", { class: "legend" }, ...series.map(({ name, sum }, at) =>
    element("li", {}, element("i", { class: `s${at}`, "aria-hidden": "true" }), element("span", {}, name), ` ${number(sum)}`)));
}

function asTable(days, sums, series, what) {
  if (!series.length) return "";
  const head = element("tr", {}, element("th", { scope: "col" }, "Day"),
    ...series.map(({ name }) => element("th", { scope: "col", class: "number" }, name)));
  const rows = days.map((day, at) => ({ day, values: sums[at] })).filter(({ values }) => total(values)).reverse()
    .map(({ day, values }) => element("tr", {}, element("th", { scope: "row" }, day),
      ...values.map((value) => element("td", { class: "number" }, number(value)))));
  return element("details", { class: "as-table" }, element("summary", {}, "As a table"),
    element("div", { class: "scroll", tabindex: "0", role: "group", "aria-label": `${what} by day` },
      element("table", {}, element("thead", {}, head), element("tbody", {}, ...rows))));
}
