// One radiograph on a canvas, with all stored bits behind a window.

import { View } from "/static/view.js";
import { dragged, table } from "/static/window.js";

export class Viewer {
  /** `changed()` is called after each paint. */
  constructor(canvas, changed) {
    this.canvas = canvas;
    this.pen = canvas.getContext("2d", { alpha: false });
    this.source = new OffscreenCanvas(1, 1); // the image as the window shows it, one pixel to one
    this.changed = changed;
    this.view = new View();
    this.window = undefined;
    this.preset = undefined; // name of the window that was chosen; it stays for the next image
    this.inverted = false;
    new ResizeObserver(() => this.#resize()).observe(canvas);
    this.#resize();
  }

  /** Show a picture, or nothing. */
  show(picture) {
    this.picture = picture;
    this.window = undefined;
    this.dirty = true;
    this.placed = false;
    this.canvas.dataset.question = picture?.question ?? "";
    this.#paint();
  }

  /** More of the picture is there. */
  more() {
    this.dirty = true;
    this.#paint();
  }

  /** "" for nothing, "preview" for 8 bits, "full" for all. */
  get shown() {
    if (this.picture?.pixels !== undefined) return "full";
    return this.picture?.preview !== undefined ? "preview" : "";
  }

  get windows() {
    return this.picture?.meta?.windows ?? [];
  }

  /** How the image is looked at, to be kept with the answer. */
  get state() {
    const { scale, turns, mirrored } = this.view;
    const { name, center, width } = this.window ?? {};
    const whole = (number) => (number === undefined ? null : Math.round(100 * number) / 100);
    return {
      window: name ?? null, center: whole(center), width: whole(width), inverted: this.inverted, bits: this.shown,
      zoom: whole(scale), turns, mirrored,
    };
  }

  choose(window) {
    if (window === undefined) return;
    this.preset = window.name;
    this.window = window;
    this.repaint();
  }

  /** The window that comes `by` places after this one. */
  turnWindow(by) {
    const at = this.windows.findIndex((one) => one.name === this.window?.name);
    const count = this.windows.length;
    if (count) this.choose(this.windows[((at < 0 && by < 0 ? 0 : at) + by + count) % count]);
  }

  named(name) {
    this.choose(this.windows.find((one) => one.name === name));
  }

  /** Shares of the values' range. */
  drag(right, down) {
    if (this.window === undefined) return;
    const { low, high } = this.picture.meta;
    this.window = dragged(this.window, right, down, low, high);
    this.repaint();
  }

  invert() {
    this.inverted = !this.inverted;
    this.repaint();
  }

  reset() {
    this.inverted = false;
    this.preset = undefined;
    this.window = this.windows[0];
    this.view.reset();
    this.repaint();
  }

  /** Change the view, and paint. */
  move(how) {
    how(this.view);
    this.repaint(false);
  }

  /** Paint with the next frame; `levels` whether the window is another. */
  repaint(levels = true) {
    this.dirty ||= levels;
    this.frame ??= requestAnimationFrame(() => this.#paint());
  }

  #paint() {
    cancelAnimationFrame(this.frame);
    this.frame = undefined;
    const { pen, canvas } = this;
    pen.setTransform(1, 0, 0, 1, 0, 0);
    pen.fillStyle = "black";
    pen.fillRect(0, 0, canvas.width, canvas.height);
    canvas.dataset.bits = this.shown;
    if (this.shown !== "") {
      this.#place();
      const { columns, rows } = this.picture.meta;
      const drawn = this.shown === "full" ? this.#levels() : this.picture.preview;
      pen.imageSmoothingEnabled = this.view.scale !== 1 || this.view.image.aspect !== 1 || this.shown !== "full";
      pen.imageSmoothingQuality = "high";
      pen.setTransform(...this.view.matrix);
      pen.drawImage(drawn, -columns / 2, -rows / 2, columns, rows);
      if (this.shown === "preview" && this.inverted) {
        pen.globalCompositeOperation = "difference";
        pen.fillStyle = "white";
        pen.fillRect(-columns / 2, -rows / 2, columns, rows);
        pen.globalCompositeOperation = "source-over";
      }
    }
    this.changed();
  }

  #place() {
    if (this.placed) return;
    const { columns, rows, aspect } = this.picture.meta;
    this.view.image = { width: columns, height: rows, aspect };
    this.view.reset();
    this.window = this.windows.find((one) => one.name === this.preset) ?? this.windows[0];
    this.placed = true;
  }

  #levels() {
    if (!this.dirty) return this.source;
    const { columns, rows, high } = this.picture.meta;
    if (this.source.width !== columns || this.source.height !== rows) {
      this.source.width = columns;
      this.source.height = rows;
      this.data = undefined;
    }
    const pen = this.source.getContext("2d", { alpha: false });
    this.data ??= pen.createImageData(columns, rows);
    const painted = table(this.window, this.inverted, high);
    const { pixels } = this.picture;
    const out = new Uint32Array(this.data.data.buffer);
    for (let i = 0; i < pixels.length; i += 1) out[i] = painted[pixels[i]];
    pen.putImageData(this.data, 0, 0);
    this.dirty = false;
    return this.source;
  }

  #resize() {
    const { width, height } = this.canvas.getBoundingClientRect();
    this.ratio = window.devicePixelRatio || 1;
    this.canvas.width = Math.max(1, Math.round(width * this.ratio));
    this.canvas.height = Math.max(1, Math.round(height * this.ratio));
    this.view.resize(this.canvas.width, this.canvas.height);
    this.#paint();
  }
}
