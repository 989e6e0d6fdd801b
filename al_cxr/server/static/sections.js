// The sections of the lead's page, each made of the project's status; what is not known yet is said in words.

import { curve, html, interval, stacked } from "/static/charts.js";
import { advice, said, whole } from "/static/words.js";

const OTHER = { skipped: "skipped", unsure: "unsure", unreadable: "unreadable", not_frontal_chest: "not frontal" };
const OF_TARGET = ["prevalence", "sensitivity", "specificity", "auc"];
const SPELT = { auc: "AUC", ac1: "AC1" };
const PLAIN = new Set(["kappa", "ac1"]);
const RULE = "Each interval is right in 95 of 100 projects, whenever and however often one looks.";
const PLANNED = "Estimates that use more labels; their intervals are right for one look that was planned.";

export function sections(status) {
  return [stop(status), progress(status), ...quality(status), readers(status), ...agreement(status), exchange()];
}

function section(title, ...inside) {
  return html("section", {}, html("h2", {}, title), ...inside);
}

function stop(status) {
  const { title, lines, done } = advice(status);
  const list = html("ul", {}, ...lines.map((line) => html("li", {}, line)));
  return html("section", { class: done ? "advice done" : "advice" }, html("h2", {}, title), list);
}

function progress(status) {
  const labelled = Object.values(status.labelled).reduce((sum, count) => sum + count, 0);
  const parts = (of, names = {}) => Object.entries(of).map(([name, count]) => ({ name: names[name] ?? name, count }));
  const numbers = [
    [whole(status.present), "images"],
    [whole(labelled), "labelled"],
    [whole(status.audited), "audited"],
    [status.trained_on ? whole(status.trained_on) : "—", "labels the model learned from"],
  ];
  const notes = [];
  if (status.images > status.present) notes.push(`${whole(status.images - status.present)} images are no longer there.`);
  if (status.features < status.present) notes.push(`The network has looked at ${whole(status.features)} images so far.`);
  if (status.disagreed) {
    notes.push(`Readers disagree on ${whole(status.disagreed)} images, which have no label until a third decided.`);
  }
  const missing = Object.values(status.not_audited).reduce((sum, count) => sum + count, 0);
  if (missing) notes.push(`${whole(missing)} audited images have no label.`);
  return section("Progress",
    html("dl", { class: "numbers" }, ...numbers.map(([count, what]) => html("div", {}, html("dd", {}, count), html("dt", {}, what)))),
    ...notes.map((note) => html("p", { class: "note" }, note)),
    html("h3", {}, "Labels"), stacked(parts(status.labelled), "labels"),
    html("h3", {}, "Other answers"), stacked(parts(status.other, OTHER), "other answers"),
    html("h3", {}, "Streams"), stacked(parts(status.streams), "answers"));
}

function quality(status) {
  if (!Object.keys(status.figures).length) {
    return [section("The model", html("p", { class: "soft" }, "Nothing is measured yet: there is no model, or no audited image."))];
  }
  const goal = status.goal ?? {};
  const named = (name) => {
    if (name === "elusion") return `${status.target ?? "target"} among the rest`;
    return OF_TARGET.includes(name) && status.target ? `${SPELT[name] ?? name} (${status.target})` : name;
  };
  const measured = Object.entries(status.figures).map(([name, figure]) => [named(name), figure, {
    goal: goal.figure === name ? goal.at_least : undefined,
  }]);
  const beside = Object.entries(status.weighted).map(([name, figure]) => [
    name === "accuracy" ? "right on target or not" : `${name}, with chosen`, figure, {},
  ]);
  if (status.prevalence) beside.push(["prevalence, with predictions", status.prevalence, {}]);
  if (status.chosen_less_random) {
    beside.push(["accuracy less random labels", status.chosen_less_random, { least: -0.3, most: 0.3, signed: true }]);
  }
  const known = beside.filter(([, figure]) => figure.value !== null);
  return [
    section("The model, on the audit", html("p", { class: "soft" }, RULE), figures(measured), ...learned(status)),
    ...(known.length ? [section("Beside it", html("p", { class: "soft" }, PLANNED), figures(known))] : []),
  ];
}

function learned({ curve: points, goal }) {
  if (!points || points.length < 2 || !goal) return [];
  const drawn = points.map(({ labels, value, low, high }) => ({ at: labels, value, low, high }));
  const least = Math.max(0, Math.floor(10 * Math.min(...drawn.map((p) => p.low ?? p.value), goal.at_least)) / 10);
  return [
    html("h3", {}, `${goal.figure} of the models so far, all on today's audit`),
    curve(drawn, {
      least, most: 1, goal: goal.at_least, format: (level) => `${Math.round(100 * level)} %`,
      across: "labels to learn from", label: `${goal.figure} by labels`,
    }),
    html("p", { class: "soft" }, "Each band holds at its own model; the line across is the goal."),
  ];
}

/** Rows of a name, a line with its interval, and the same in words. */
function figures(rows) {
  const made = rows.map(([name, figure, options]) => html("div", { class: "figure" },
    html("span", { class: "name" }, name),
    figure.value === null ? html("span") : interval(figure, options),
    html("span", { class: "value" }, said(figure, options))));
  return html("div", { class: "figures" }, ...made);
}

function readers(status) {
  const names = Object.entries(status.readers);
  if (!names.length) return section("Readers", html("p", { class: "soft" }, "Nobody has read yet."));
  const head = html("tr", {}, ...["reader", "answers", "skipped", "s an image"].map((one) => html("th", { scope: "col" }, one)));
  const rows = names.map(([name, { outcomes, median_seconds: seconds }]) => {
    const all = Object.entries(outcomes).reduce((sum, [kind, count]) => sum + (kind === "skipped" ? 0 : count), 0);
    const cells = [whole(all), whole(outcomes.skipped ?? 0), seconds === null ? "—" : seconds.toFixed(1)];
    return html("tr", {}, html("th", { scope: "row" }, name), ...cells.map((cell) => html("td", {}, cell)));
  });
  const table = html("table", {}, html("thead", {}, head), html("tbody", {}, ...rows));
  return section("Readers", html("div", { class: "scroll" }, table), ...drift(status.sittings ?? {}));
}

function drift(sittings) {
  return Object.entries(sittings).filter(([, points]) => points.length > 1).flatMap(([reader, points]) => {
    const drawn = points.map(({ first, median, low, high }) => ({ at: first, value: median, low, high }));
    const most = Math.ceil(Math.max(...drawn.map((p) => p.high ?? p.value)) / 5) * 5;
    return [
      html("h3", {}, `${reader}: seconds an image within a sitting`),
      curve(drawn, {
        least: 0, most, format: (level) => `${level} s`, across: "images since the sitting began",
        label: `Seconds an image of ${reader} within a sitting`,
      }),
      html("p", { class: "soft" }, "Median and the middle half of the images. Faster and faster may be practice, or fatigue."),
    ];
  });
}

function agreement(status) {
  const rows = (of) => Object.entries(of).filter(([, figure]) => figure.value !== null)
    .map(([name, figure]) => [SPELT[name] ?? name, figure, { plain: PLAIN.has(name), least: PLAIN.has(name) ? -0.2 : 0 }]);
  const [between, own] = [rows(status.agreement), rows(status.repeats)];
  const inside = [];
  if (between.length) inside.push(html("h3", {}, "Two readers"), figures(between));
  if (own.length) inside.push(html("h3", {}, "A reader with oneself"), figures(own));
  if (status.ceiling && status.ceiling.value !== null) {
    inside.push(html("h3", {}, "What agreement allows"), figures([["a perfect model would reach", status.ceiling, {}]]));
  }
  if (!inside.length) inside.push(html("p", { class: "soft" }, "No image was read twice yet."));
  return [section("Agreement, on images asked at random", ...inside)];
}

function exchange() {
  const commands = [
    ["labels and how each was chosen, as a table", "al-cxr label export PROJECT --to csv"],
    ["one folder a class, with a datasheet", "al-cxr label export PROJECT --to imagefolder"],
    ["the model, as a bundle that predicts", "al-cxr label model PROJECT models/mine"],
  ];
  const rows = commands.flatMap(([what, command]) => [html("dt", {}, what), html("dd", {}, html("code", {}, command))]);
  const link = html("a", { href: "/api/lead/status", download: "status.json" }, "these figures as JSON");
  return section("Export", html("p", {}, link), html("dl", { class: "commands" }, ...rows));
}
