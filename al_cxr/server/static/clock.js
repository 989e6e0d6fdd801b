// Active time on an image: it stands still while the page is hidden, and after a minute in which nobody moved.

const IDLE = 60_000; // milliseconds
const SIGNS = ["pointermove", "pointerdown", "wheel", "keydown", "touchstart"];

export class Clock {
  constructor() {
    this.restart();
    for (const sign of SIGNS) document.addEventListener(sign, () => this.#count(), { capture: true, passive: true });
    document.addEventListener("visibilitychange", () => {
      if (document.hidden) this.#count();
      else this.last = performance.now();
      this.running = !document.hidden;
    });
  }

  restart() {
    this.total = 0;
    this.last = performance.now();
    this.running = !document.hidden;
  }

  get milliseconds() {
    this.#count();
    return Math.round(this.total);
  }

  #count() {
    const now = performance.now();
    if (this.running) this.total += Math.min(now - this.last, IDLE);
    this.last = now;
  }
}
