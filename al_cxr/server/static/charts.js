// Figures as SVG that grows with its box: places are percentages, so that text and lines keep their size.

const SVG = "http://www.w3.org/2000/svg";

/** An SVG element. */
export function svg(name, attributes = {}, ...inside) {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...inside);
  return made;
}

/** An HTML element. */
export function html(name, attributes = {}, ...inside) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...inside);
  return made;
}

const percent = (share) => `${(100 * share).toFixed(2)}%`;

/** A value with its interval on a line from `least` to `most`; `goal` is a mark on it. */
export function interval({ value, low, high }, { least = 0, most = 1, goal } = {}) {
  const at = (number) => percent(Math.min(Math.max((number - least) / (most - least), 0), 1));
  const made = svg("svg", { class: "interval", height: 28, "aria-hidden": "true" });
  made.append(svg("line", { class: "axis", x1: "0%", x2: "100%", y1: 14, y2: 14 }));
  if (least < 0) made.append(svg("line", { class: "zero", x1: at(0), x2: at(0), y1: 4, y2: 24 }));
  if (low !== null && high !== null) {
    made.append(svg("line", { class: "band", x1: at(low), x2: at(high), y1: 14, y2: 14 }));
  }
  if (goal !== undefined) made.append(svg("line", { class: "goal", x1: at(goal), x2: at(goal), y1: 2, y2: 26 }));
  made.append(svg("circle", { class: "dot", cx: at(value), cy: 14, r: 5 }));
  return made;
}

/** One bar of several parts, [{name, count}], with its legend. */
export function stacked(parts, what) {
  const whole = parts.reduce((sum, { count }) => sum + count, 0);
  if (whole === 0) return html("p", { class: "soft" }, `No ${what} yet.`);
  const bar = svg("svg", { class: "stacked", height: 22, "aria-hidden": "true" });
  const legend = html("ul", { class: "legend" });
  let from = 0;
  parts.forEach(({ name, count }, number) => {
    const share = count / whole;
    bar.append(svg("rect", { class: `part part${number % 6}`, x: percent(from), width: percent(share), y: 0, height: 22 }));
    from += share;
    const mark = svg("svg", { class: "mark", width: 12, height: 12, "aria-hidden": "true" });
    mark.append(svg("rect", { class: `part part${number % 6}`, width: 12, height: 12, rx: 2 }));
    legend.append(html("li", {}, mark, `${name} `, html("strong", {}, count.toLocaleString("en")), ` ${share100(share)}`));
  });
  return html("div", {}, bar, legend);
}

const share100 = (share) => `(${(100 * share).toFixed(share < 0.1 ? 1 : 0)} %)`;

/**
 * A line with its band over numbers that grow: points are {at, value, low, high}. `goal` is a level line, `format` writes a
 * level, `least` and `most` are the ends of the levels.
 */
export function curve(points, { least, most, format, goal, across, label }) {
  const first = points[0].at;
  const last = points.at(-1).at;
  const x = (at) => (last === first ? 50 : (100 * (at - first)) / (last - first));
  const y = (level) => 100 - (100 * (Math.min(Math.max(level, least), most) - least)) / (most - least);
  const place = (at, level) => `${x(at).toFixed(2)},${y(level).toFixed(2)}`;
  const known = points.filter(({ low, high }) => low !== null && high !== null);
  const band = [...known.map((p) => place(p.at, p.high)), ...known.toReversed().map((p) => place(p.at, p.low))];
  const plot = svg("svg", { class: "plot", viewBox: "0 0 100 100", preserveAspectRatio: "none", role: "img" });
  plot.setAttribute("aria-label", label);
  for (const share of [0, 0.5, 1]) {
    const level = 100 * share;
    plot.append(svg("line", { class: "axis", x1: 0, x2: 100, y1: level, y2: level }));
  }
  if (known.length > 1) plot.append(svg("polygon", { class: "area", points: band.join(" ") }));
  if (goal !== undefined) plot.append(svg("line", { class: "goal", x1: 0, x2: 100, y1: y(goal), y2: y(goal) }));
  plot.append(svg("polyline", { class: "path", points: points.map((p) => place(p.at, p.value)).join(" ") }));
  const levels = [most, (least + most) / 2, least].map((level) => html("span", {}, format(level)));
  const ends = [first, last].map((at) => html("span", {}, at.toLocaleString("en")));
  return html("div", { class: "curve" },
    html("div", { class: "levels", "aria-hidden": "true" }, ...levels), plot,
    html("div", { class: "across" }, ends[0], html("span", {}, across), ends[1]));
}
