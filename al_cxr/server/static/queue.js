// The reader's open questions, in the order in which the server gave them; never another.

import { ask } from "/static/wire.js";

export class Queue {
  /** `ahead` questions are held beside the one that is read. */
  constructor(ahead) {
    this.ahead = ahead;
    this.questions = [];
    this.answered = new Map(); // question -> whether the server has acknowledged it
  }

  get current() {
    return this.questions[0];
  }

  /** The current question is answered; the next one is current. */
  answer() {
    const question = this.questions.shift();
    this.answered.set(question, false);
    return question;
  }

  /** A question that was answered is open again, and comes first. */
  reopen(question) {
    this.answered.delete(question);
    this.questions = [question, ...this.questions.filter((one) => one !== question)];
  }

  /** Answers that are on their way since before the page was loaded. */
  sent(questions) {
    for (const question of questions) this.answered.set(question, false);
  }

  acknowledge(question) {
    if (this.answered.has(question)) this.answered.set(question, true);
  }

  /**
   * Ask for as many as are held. Those that are gone (their time ran out, and another reader has them) go, but the one
   * that is being read stays; new ones come last.
   */
  async fill() {
    if (this.filling) {
      this.again = true; // an answer came in between, so there is one question more to ask for
      return this.filling;
    }
    this.filling = this.#fill().finally(() => (this.filling = undefined));
    await this.filling;
    if (this.again) {
      this.again = false;
      await this.fill();
    }
  }

  async #fill() {
    // What was acknowledged before the server is asked, and is open all the same, was taken back elsewhere.
    for (const [question, acknowledged] of this.answered) if (acknowledged) this.answered.delete(question);
    const { questions } = await ask("/api/next", { n: this.ahead + 1 });
    const open = questions.filter((one) => !one.done).map((one) => one.question);
    const held = this.questions.filter((one, at) => at === 0 || open.includes(one));
    const fresh = open.filter((one) => !held.includes(one) && !this.answered.has(one));
    this.questions = [...held, ...fresh];
  }
}
