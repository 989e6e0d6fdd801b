// The keyboard, and buttons that say their key.

import { shortcut, written } from "/static/actions.js";

/** Do what a key stands for. */
export function listen(actions) {
  const byKey = new Map();
  for (const action of actions) {
    for (const key of [action.key, action.also]) if (key) byKey.set(key, action);
  }
  document.addEventListener("keydown", (event) => {
    if (event.defaultPrevented) return; // a dialog took it
    if (event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]")) return;
    if (event.target.matches?.("button") && (event.key === " " || event.key === "Enter")) return; // presses that button
    const action = byKey.get(pressed(event)) ?? byKey.get(digit(event));
    if (action === undefined) return;
    event.preventDefault();
    if (!event.repeat || action.again) perform(action); // a key that is held down answers one image, not twenty
  });
}

let busy = false;

/** Do an action, unless one is under way: a key that is pressed while an undo waits would answer another image. */
export async function perform(action) {
  if (busy) return;
  busy = true;
  try {
    await action.run();
  } finally {
    busy = false;
  }
}

/** A button for an action. */
export function button(action) {
  const made = document.createElement("button");
  made.type = "button";
  made.dataset.key = action.key;
  if (action.kind) made.className = action.kind;
  if (action.key) {
    made.append(keyOf(action.key));
    made.setAttribute("aria-keyshortcuts", shortcut(action.key));
  }
  const name = document.createElement("span");
  name.textContent = action.name;
  made.append(name);
  if (action.help) made.title = action.help;
  made.addEventListener("pointerdown", (event) => event.preventDefault()); // the keyboard stays where it was
  made.addEventListener("mousedown", (event) => event.preventDefault());
  made.addEventListener("click", () => perform(action));
  return made;
}

/** A key as it is drawn. */
export function keyOf(key) {
  const made = document.createElement("kbd");
  made.textContent = written(key);
  made.setAttribute("aria-hidden", "true");
  return made;
}

function pressed(event) {
  if (/^[a-z]$/i.test(event.key)) return event.shiftKey ? event.key.toUpperCase() : event.key.toLowerCase();
  return event.shiftKey && event.key.length > 1 ? `Shift+${event.key}` : event.key;
}

/** The digit of a key on which it needs Shift, as on French keyboards. */
function digit(event) {
  return event.shiftKey ? undefined : /^Digit([1-9])$/.exec(event.code)?.[1];
}
