// What the reader said and the server has not yet acknowledged: sent one after another, in order, until it has.

import { ask, Refused } from "/static/wire.js";

const FIRST_WAIT = 500; // milliseconds until the second try; it doubles
const LONGEST_WAIT = 8_000;

/**
 * Entries are kept by the browser for as long as the tab is open, so that reloading the page loses none.
 * `taken(entry, reply)`, `refused(entry, error)` and `changed()` are called as things go on.
 */
export class Outbox {
  constructor(reader, { taken, refused, changed }) {
    this.place = `al-cxr outbox of ${reader}`;
    this.on = { taken, refused, changed };
    this.entries = JSON.parse(sessionStorage.getItem(this.place) ?? "[]");
    this.problem = "";
    this.attempt = null; // the try that is under way
    this.wake = () => {};
    window.addEventListener("online", () => this.wake());
    window.addEventListener("beforeunload", (event) => {
      if (this.entries.length) event.preventDefault(); // the browser asks whether to leave
    });
  }

  get length() {
    return this.entries.length;
  }

  /** Questions whose answer is on its way. */
  get questions() {
    return this.entries.filter((one) => one.path === "/api/answer").map((one) => one.body.question);
  }

  add(path, body) {
    this.entries.push({ path, body, tried: false });
    this.#keep();
    this.send();
  }

  /** Take the last entry back, where it was not sent; undefined where it was, or is something else than an answer. */
  takeBack() {
    const last = this.entries.at(-1);
    if (last === undefined || last.tried || last.path !== "/api/answer") return undefined;
    this.entries.pop();
    this.#keep();
    return last.body;
  }

  /** When everything is acknowledged, or a try has failed. */
  async settled() {
    while (this.attempt !== null && !this.problem) await this.attempt;
  }

  async send() {
    if (this.sending) return;
    this.sending = true;
    for (let wait = FIRST_WAIT; this.entries.length; ) {
      const entry = this.entries[0];
      entry.tried = true;
      this.attempt = this.#try(entry);
      if (await this.attempt) {
        wait = FIRST_WAIT;
      } else {
        await this.#pause(wait);
        wait = Math.min(2 * wait, LONGEST_WAIT);
      }
    }
    this.attempt = null;
    this.sending = false;
  }

  async #try(entry) {
    try {
      const reply = await ask(entry.path, entry.body);
      this.#done();
      this.on.taken(entry, reply);
    } catch (error) {
      if (!(error instanceof Refused)) {
        this.problem = error.message;
        this.on.changed();
        return false;
      }
      this.#done();
      this.on.refused(entry, error);
    }
    return true;
  }

  #done() {
    this.entries.shift();
    this.problem = "";
    this.#keep();
  }

  #keep() {
    sessionStorage.setItem(this.place, JSON.stringify(this.entries));
    this.on.changed();
  }

  #pause(milliseconds) {
    return new Promise((resolve) => {
      this.wake = resolve;
      setTimeout(resolve, milliseconds);
    });
  }
}
