// Mouse, pen and fingers on the image.
//
// drag: window · drag with the right or middle button, or with Shift: pan · wheel: zoom · double click: fit or one to one
// one finger: window · two fingers: pan and zoom · double tap: fit or one to one

const WHEEL = 0.0015; // of a zoom, by a pixel of scrolling
const LINE = 16; // pixels that a wheel turns by, where it counts in lines

export class Gestures {
  constructor(viewer) {
    this.viewer = viewer;
    this.canvas = viewer.canvas;
    this.pointers = new Map();
    const on = (name, heard) => this.canvas.addEventListener(name, heard, { passive: false });
    on("pointerdown", (event) => this.#down(event));
    on("pointermove", (event) => this.#move(event));
    on("pointerup", (event) => this.#up(event));
    on("pointercancel", (event) => this.#up(event));
    on("wheel", (event) => this.#wheel(event));
    on("dblclick", (event) => this.#double(event));
    on("contextmenu", (event) => event.preventDefault());
  }

  #down(event) {
    event.preventDefault();
    this.canvas.setPointerCapture(event.pointerId);
    this.pointers.set(event.pointerId, this.#at(event));
    this.panning = event.button > 0 || event.shiftKey;
  }

  #move(event) {
    const before = this.pointers.get(event.pointerId);
    if (before === undefined) return;
    const now = this.#at(event);
    if (this.pointers.size > 1) this.#pinch(event.pointerId, now);
    else if (this.panning) this.viewer.move((view) => view.pan(now.x - before.x, now.y - before.y));
    else this.#window(now.x - before.x, now.y - before.y);
    this.pointers.set(event.pointerId, now);
  }

  #up(event) {
    this.pointers.delete(event.pointerId);
    // The finger that is left over when a pinch ends shall not turn the window.
    if (this.pointers.size > 0) this.panning = true;
  }

  #window(right, down) {
    const whole = Math.max(300 * this.viewer.ratio, Math.min(this.canvas.width, this.canvas.height));
    this.viewer.drag(right / whole, down / whole);
  }

  #pinch(moved, now) {
    const other = [...this.pointers].find(([id]) => id !== moved)[1];
    const before = this.pointers.get(moved);
    const length = (a, b) => Math.max(Math.hypot(a.x - b.x, a.y - b.y), 1);
    const by = length(now, other) / length(before, other);
    this.viewer.move((view) => {
      view.pan((now.x - before.x) / 2, (now.y - before.y) / 2);
      view.zoom(by, (now.x + other.x) / 2, (now.y + other.y) / 2);
    });
  }

  #wheel(event) {
    event.preventDefault();
    const turned = event.deltaMode === WheelEvent.DOM_DELTA_LINE ? LINE * event.deltaY : event.deltaY;
    const { x, y } = this.#at(event);
    this.viewer.move((view) => view.zoom(Math.exp(-WHEEL * Math.max(-400, Math.min(400, turned))), x, y));
  }

  #double(event) {
    const { x, y } = this.#at(event);
    this.viewer.move((view) => (view.fitted ? view.zoom(1 / view.scale, x, y) : view.fit()));
  }

  /** Pixels of the screen from the middle of the stage. */
  #at(event) {
    const { left, top, width, height } = this.canvas.getBoundingClientRect();
    const { ratio } = this.viewer;
    return { x: (event.clientX - left - width / 2) * ratio, y: (event.clientY - top - height / 2) * ratio };
  }
}
