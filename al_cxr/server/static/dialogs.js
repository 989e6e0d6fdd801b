// What is asked beside the image: a comment, in which way an image is unfit, and which keys there are.

import { keyOf } from "/static/keys.js";

/** Open a dialog; its return value when it is closed, "" where it was left with Escape. */
function closed(dialog) {
  dialog.returnValue = "";
  dialog.showModal();
  return new Promise((resolve) => dialog.addEventListener("close", () => resolve(dialog.returnValue), { once: true }));
}

/** The text of a comment; "" for none. */
export async function askComment(dialog) {
  const field = dialog.querySelector("textarea");
  field.value = "";
  field.onkeydown = (event) => {
    if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
    event.preventDefault();
    dialog.close("save");
  };
  return (await closed(dialog)) === "save" ? field.value.trim() : "";
}

/** "unreadable", "not-frontal", or "" to go back. */
export function askUnfit(dialog) {
  dialog.onkeydown = (event) => {
    const chosen = [...dialog.querySelectorAll("button")].find((one) => one.dataset.key === event.key.toLowerCase());
    if (chosen === undefined || event.repeat) return;
    event.preventDefault();
    dialog.close(chosen.value);
  };
  return closed(dialog);
}

/** Fill the help with groups of actions, {title: actions}. */
export function writeHelp(dialog, groups) {
  const place = dialog.querySelector("#all-keys");
  for (const [title, actions] of Object.entries(groups)) {
    const section = document.createElement("section");
    const heading = document.createElement("h3");
    heading.textContent = title;
    const list = document.createElement("dl");
    for (const action of actions.filter((one) => one.key)) {
      const key = document.createElement("dt");
      key.append(keyOf(action.key));
      key.firstChild.removeAttribute("aria-hidden");
      const what = document.createElement("dd");
      what.textContent = action.help ? `${action.name}: ${action.help}` : action.name;
      list.append(key, what);
    }
    section.append(heading, list);
    place.append(section);
  }
}

export function showHelp(dialog) {
  dialog.onkeydown = (event) => {
    if (event.key.toLowerCase() !== "h") return;
    event.preventDefault();
    dialog.close();
  };
  dialog.showModal();
}
