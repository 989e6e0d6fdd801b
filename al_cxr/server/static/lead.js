// The page of whoever leads a project: how far it is, how good the model is, how readers agree, whether to stop.

import { html } from "/static/charts.js";
import { sections } from "/static/sections.js";
import { ask } from "/static/wire.js";

const EVERY = 30_000; // milliseconds
const element = (id) => document.getElementById(id);

async function look() {
  element("when").textContent = "measuring …";
  try {
    const status = await ask("/api/lead/status");
    const open = new Set([...document.querySelectorAll("details[open]")].map((one) => one.id));
    element("status").replaceChildren(...sections(status));
    for (const one of document.querySelectorAll("details")) one.open = open.has(one.id);
    element("when").textContent = `as of ${new Date().toLocaleTimeString()}`;
    element("alarm").hidden = true;
  } catch (error) {
    element("when").textContent = "";
    element("alarm").hidden = false;
    element("alarm").replaceChildren(html("strong", {}, "These figures are not new: "), `${error.message}.`);
  }
}

element("again").addEventListener("click", look);
await look();
setInterval(() => document.hidden || look(), EVERY);
