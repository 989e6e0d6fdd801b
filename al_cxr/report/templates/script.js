"use strict";

// Tables are sorted by a click on a heading: upwards, downwards, and as they were.
// "69.4 ± 1.0", "−8.6", "1,571" and "3 of 5 †" are numbers, "—" is nothing and always last.
const NUMBER = /^[<>≤≥~]?\s*([+-]?\d[\d,]*(?:\.\d+)?(?:e[+-]?\d+)?)(?=$|[\s,;±†%])/i;
const NEXT = { none: "ascending", ascending: "descending", descending: "none" };

function key(cell) {
  const text = cell.textContent.trim().replaceAll("−", "-");
  const found = NUMBER.exec(text);
  if (found) return Number(found[1].replaceAll(",", ""));
  return text === "—" ? "" : text;
}

function compare(a, b, sign) {
  if (a === "" || b === "") return (a === "") - (b === "");
  if (typeof a !== typeof b) return typeof a === "number" ? -1 : 1;
  return sign * (typeof a === "number" ? a - b : a.localeCompare(b, undefined, { numeric: true }));
}

for (const table of document.querySelectorAll("table")) {
  const body = table.tBodies[0];
  if (!body || body.rows.length < 2) continue;
  const original = [...body.rows];
  const headings = [...table.tHead.rows[0].cells];
  headings.forEach((heading, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...heading.childNodes);
    heading.append(button);
    heading.setAttribute("aria-sort", "none");
    button.addEventListener("click", () => {
      const order = NEXT[heading.getAttribute("aria-sort")];
      for (const other of headings) other.setAttribute("aria-sort", "none");
      heading.setAttribute("aria-sort", order);
      const sign = order === "ascending" ? 1 : -1;
      const keys = new Map(original.map((row) => [row, key(row.cells[column])]));
      const rows = order === "none" ? original : [...original].sort((a, b) => compare(keys.get(a), keys.get(b), sign));
      body.append(...rows);
    });
  });
}

// On paper nothing can be opened.
addEventListener("beforeprint", () => {
  for (const details of document.querySelectorAll("details")) details.open = true;
});
