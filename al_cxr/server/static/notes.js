// What the page says in words: who reads, what is saved, what is wrong, how the image is shown.

const element = (id) => document.getElementById(id);
const plural = (count, name) => `${count.toLocaleString("en")} ${name}${count === 1 ? "" : "s"}`;

export class Notes {
  constructor({ reader, answered }) {
    element("reader").textContent = reader;
    this.done = answered;
    this.problem = "";
    this.count(answered);
  }

  /** How many the server has acknowledged. */
  count(answered) {
    this.done = answered ?? this.done;
    if (this.done !== undefined) element("answered").textContent = `${this.done.toLocaleString("en")} answered`;
  }

  less() {
    if (this.done) this.count(this.done - 1);
  }

  say(text) {
    element("said").textContent = text;
  }

  answered(word) {
    this.say(`${word} · next image`);
  }

  /** What stays until it is better. */
  alarm(text) {
    element("alarm").textContent = text;
    element("alarm").hidden = text === "";
  }

  /** The server does not answer; answers that wait are said before that. */
  away(error) {
    if (element("saved").dataset.waiting > 0) return;
    this.problem = error.message;
    this.alarm(`${this.problem}; trying again. Nothing that was saved is lost.`);
  }

  back() {
    if (this.problem === "") return;
    this.problem = "";
    this.alarm("");
  }

  outbox({ length, problem }) {
    element("saved").textContent = length === 0 ? "saved" : "saving …";
    element("saved").dataset.waiting = String(length);
    if (problem) {
      const wait = length === 1 ? "waits" : "wait";
      this.problem = problem;
      this.alarm(`${plural(length, "answer")} not saved yet, and ${wait} here: ${problem}. Keep this page open.`);
    } else {
      this.back();
    }
  }

  nothing() {
    this.#note("Nothing is left to read for now. This page goes on by itself when there is.");
    element("readout").textContent = "";
  }

  /** What is seen of an image, and how. */
  image(viewer) {
    const { picture, shown } = viewer;
    if (picture === undefined) return;
    if (shown === "") {
      this.#note(picture.error ? `${picture.error}. Answer it with x, or skip it with s.` : "The image is loading …");
      element("readout").textContent = "";
      return;
    }
    this.#note("");
    const { center, width, name } = viewer.window;
    const number = (value) => (Math.abs(value) < 10 ? value.toFixed(1) : Math.round(value).toLocaleString("en"));
    const bits = shown === "full" ? `all ${picture.meta.bits} bits` : "8-bit preview, all bits are coming";
    const parts = [name, `C ${number(center)} W ${number(width)}`, `${Math.round(100 * viewer.view.scale)} %`, bits];
    if (viewer.inverted) parts.splice(1, 0, "inverted");
    element("readout").textContent = parts.join(" · ");
  }

  #note(text) {
    element("note").textContent = text;
    element("note").hidden = text === "";
  }
}
