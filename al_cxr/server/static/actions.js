// Everything that the reader's page does: its keys, its name, and what happens. Buttons, keyboard and help read this table.

const PAN = 0.08; // of the stage, by a key
const ZOOM = 1.25;
const STEP = 0.04; // of the values' range, by a key

const SHOWN = {
  " ": "Space", ArrowLeft: "←", ArrowRight: "→", ArrowUp: "↑", ArrowDown: "↓",
  "Shift+ArrowLeft": "⇧ ←", "Shift+ArrowRight": "⇧ →", "Shift+ArrowUp": "⇧ ↑", "Shift+ArrowDown": "⇧ ↓",
};

/** A key as people write it. */
export function written(key) {
  return SHOWN[key] ?? (/^[A-Z]$/.test(key) ? `⇧ ${key}` : key);
}

/** A key as `aria-keyshortcuts` has it. */
export function shortcut(key) {
  if (key === " ") return "Space";
  return /^[A-Z]$/.test(key) ? `Shift+${key}` : key;
}

/** Answers: one for each class in its order, and what is no class. `page` does them. */
export function answers(classes, page) {
  const named = classes.map((name, at) => ({
    key: at < 9 ? String(at + 1) : "", name, kind: "class", run: () => page.answer(name),
  }));
  return [
    ...named,
    { key: "?", name: "unsure", kind: "other", help: "you cannot decide", run: () => page.answer("unsure") },
    { key: "s", name: "skip", kind: "other", help: "not now; it may be asked again", run: () => page.answer("skip") },
    { key: "x", name: "unusable", kind: "other", help: "unreadable, or not a frontal chest", run: () => page.unfit() },
  ];
}

/** What is done with the page. */
export function pageActions(page) {
  return [
    { key: "u", name: "undo", help: "take your last answer back; again for the one before", run: () => page.undo() },
    { key: "c", name: "comment", help: "write a comment on this image", run: () => page.comment() },
    { key: "h", name: "help", help: "show the keys", run: () => page.help() },
  ];
}

/** What is done with the image. Those with a `button` have one. */
export function viewerActions(viewer) {
  const move = (how) => () => viewer.move(how);
  const zoom = (by) => move((view) => view.zoom(by, 0, 0));
  const pan = (right, down) => move((view) => view.pan(right * PAN * view.stage.width, down * PAN * view.stage.height));
  const drag = (right, down) => () => viewer.drag(right * STEP, down * STEP);
  return [
    { key: "w", name: "window", button: true, help: "next window of the file", run: () => viewer.turnWindow(1) },
    { key: "W", name: "window before", run: () => viewer.turnWindow(-1) },
    { key: "p", name: "percentiles", button: true, help: "window from the 0.5th to the 99.5th percentile",
      run: () => viewer.named("percentiles") },
    { key: "a", name: "full range", button: true, help: "window over all values", run: () => viewer.named("full range") },
    { key: "i", name: "invert", button: true, help: "black for white", run: () => viewer.invert() },
    { key: "Shift+ArrowRight", name: "less contrast", again: true, run: drag(1, 0) },
    { key: "Shift+ArrowLeft", name: "more contrast", again: true, run: drag(-1, 0) },
    { key: "Shift+ArrowUp", name: "brighter", again: true, run: drag(0, -1) },
    { key: "Shift+ArrowDown", name: "darker", again: true, run: drag(0, 1) },
    { key: "f", name: "fit", button: true, help: "the whole image", run: move((view) => view.fit()) },
    { key: "o", name: "1:1", button: true, help: "one pixel to one of the screen", run: move((view) => view.exact()) },
    { key: "+", also: "=", name: "zoom in", button: true, again: true, run: zoom(ZOOM) },
    { key: "-", name: "zoom out", button: true, again: true, run: zoom(1 / ZOOM) },
    { key: "ArrowLeft", name: "move left", again: true, run: pan(1, 0) },
    { key: "ArrowRight", name: "move right", again: true, run: pan(-1, 0) },
    { key: "ArrowUp", name: "move up", again: true, run: pan(0, 1) },
    { key: "ArrowDown", name: "move down", again: true, run: pan(0, -1) },
    { key: "r", name: "turn right", button: true, help: "a quarter turn", run: move((view) => view.turn(1)) },
    { key: "l", name: "turn left", button: true, help: "a quarter turn", run: move((view) => view.turn(-1)) },
    { key: "m", name: "mirror", button: true, help: "left becomes right", run: move((view) => view.mirror()) },
    { key: "v", name: "upside down", button: true, help: "top becomes bottom", run: move((view) => view.upend()) },
    { key: " ", name: "reset", button: true, help: "as it was first shown", run: () => viewer.reset() },
  ];
}
