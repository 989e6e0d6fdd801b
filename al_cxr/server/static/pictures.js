// The images of the questions that are held: first a small picture of each, then all its bits; in bounded memory.

import { ask, bitmap, bytes, Lost } from "/static/wire.js";

const TOGETHER = 2; // requests at a time
const MEMORY = 256 * 2 ** 20; // bytes of pixels; what is read now is always loaded
const PAUSE = 1_500; // milliseconds after a request that failed

/** One image; `meta`, `preview` and `pixels` are there when they are loaded. */
class Picture {
  constructor(question) {
    this.question = question;
    this.error = "";
    this.loading = new Set();
  }

  get size() {
    return this.meta === undefined ? 0 : 2 * this.meta.rows * this.meta.columns;
  }

  has(what) {
    return this[what] !== undefined || this.loading.has(what) || this.error !== "";
  }

  async load(what) {
    const address = `/api/images/${this.question}/`;
    if (what === "preview") {
      this.meta ??= await ask(`${address}meta`);
      this.preview = await bitmap(`${address}preview`);
      return;
    }
    const found = await bytes(`${address}pixels`);
    if (found.byteLength !== this.size) throw new Lost("an image came in part only");
    this.pixels = new Uint16Array(found); // little endian, as every machine with a browser is
  }

  close() {
    this.preview?.close();
    this.preview = this.pixels = undefined;
  }
}

export class Pictures {
  /** `changed(picture)` is called when more of it is there. */
  constructor(changed) {
    this.changed = changed;
    this.held = new Map();
    this.wanted = [];
    this.running = 0;
    this.paused = false;
  }

  /** The picture of a question, with what is loaded of it. */
  get(question) {
    if (!this.held.has(question)) this.held.set(question, new Picture(question));
    return this.held.get(question);
  }

  /** Load these, the first before all others; forget all that are neither these nor `kept`. */
  want(questions, kept = []) {
    this.wanted = questions;
    for (const [question, picture] of this.held) {
      if (questions.includes(question) || kept.includes(question)) continue;
      picture.close();
      this.held.delete(question);
    }
    this.#go();
  }

  #next() {
    const [now, ...later] = this.wanted.map((question) => this.get(question));
    if (now === undefined) return undefined;
    const jobs = [[now, "preview"], [now, "pixels"], ...later.map((one) => [one, "preview"])];
    let used = now.size;
    for (const one of later) {
      used += one.size;
      if (used <= MEMORY) jobs.push([one, "pixels"]);
    }
    return jobs.find(([one, what]) => !one.has(what) && (what === "preview" || one.meta !== undefined));
  }

  #go() {
    while (!this.paused && this.running < TOGETHER) {
      const job = this.#next();
      if (job === undefined) return;
      this.#load(...job);
    }
  }

  async #load(picture, what) {
    this.running += 1;
    picture.loading.add(what);
    try {
      await picture.load(what);
      if (this.held.get(picture.question) !== picture) picture.close();
    } catch (error) {
      if (error instanceof Lost) this.#pause();
      else picture.error = error.message;
    }
    picture.loading.delete(what);
    this.running -= 1;
    this.changed(picture);
    this.#go();
  }

  #pause() {
    this.paused = true;
    setTimeout(() => {
      this.paused = false;
      this.#go();
    }, PAUSE);
  }
}
