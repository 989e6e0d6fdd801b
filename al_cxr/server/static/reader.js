// The reader's page: one image, one key, the next image.

import { answers, pageActions, viewerActions } from "/static/actions.js";
import { Clock } from "/static/clock.js";
import { askComment, askUnfit, showHelp, writeHelp } from "/static/dialogs.js";
import { Gestures } from "/static/gestures.js";
import { button, listen } from "/static/keys.js";
import { Notes } from "/static/notes.js";
import { Outbox } from "/static/outbox.js";
import { Pictures } from "/static/pictures.js";
import { Queue } from "/static/queue.js";
import { Viewer } from "/static/viewer.js";
import { ask, Lost } from "/static/wire.js";

const AGAIN = 2_000; // milliseconds after which a server that is away is asked again
const NOTHING = 10_000; // and one that has nothing to ask
const element = (id) => document.getElementById(id);

class Reader {
  constructor(session) {
    this.session = session;
    this.notes = new Notes(session);
    this.clock = new Clock();
    this.queue = new Queue(session.prefetch);
    this.pictures = new Pictures((picture) => this.#loaded(picture));
    this.viewer = new Viewer(element("image"), () => this.#painted());
    this.outbox = new Outbox(session.reader, {
      taken: (entry, reply) => this.#taken(entry, reply),
      refused: (entry, error) => this.#refused(entry, error),
      changed: () => this.notes.outbox(this.outbox),
    });
    new Gestures(this.viewer);
    this.#controls();
  }

  async start() {
    this.queue.sent(this.outbox.questions);
    this.outbox.send();
    await this.#fill();
  }

  /** The answer to what is seen now. */
  answer(word) {
    const question = this.queue.current;
    if (question === undefined) return;
    if (this.viewer.shown === "" && !this.pictures.get(question).error) {
      this.notes.say("The image is not there yet.");
      return;
    }
    const { milliseconds } = this.clock;
    const body = { question, answer: word, milliseconds, comment: "", view: this.viewer.state };
    this.queue.answer();
    this.before = question;
    this.#show();
    this.notes.answered(word);
    this.outbox.add("/api/answer", body);
  }

  async undo() {
    let back = this.outbox.takeBack(); // an answer that never left
    if (back === undefined) {
      await this.outbox.settled();
      if (this.outbox.length) {
        this.notes.say("No connection: your last answer cannot be taken back before it returns.");
        return;
      }
      try {
        back = await ask("/api/undo", {});
      } catch (error) {
        this.notes.say(error instanceof Lost ? `Nothing was taken back: ${error.message}.` : `${error.message}.`);
        return;
      }
      this.notes.less();
    }
    this.queue.reopen(back.question);
    this.#show();
    this.notes.say(`Taken back: ${back.answer}.`);
  }

  async comment() {
    const question = this.queue.current;
    if (question === undefined) return;
    const comment = await askComment(element("comment"));
    if (comment) this.outbox.add("/api/comment", { question, comment });
  }

  async unfit() {
    if (this.queue.current === undefined) return;
    const word = await askUnfit(element("unfit"));
    if (word) this.answer(word);
  }

  help() {
    showHelp(element("help"));
  }

  #controls() {
    const [given, own, view] = [answers(this.session.classes, this), pageActions(this), viewerActions(this.viewer)];
    element("classes").append(...given.filter((one) => one.kind === "class").map(button));
    element("others").append(...given.filter((one) => one.kind === "other").map(button), button(own[0]));
    element("page").append(...own.slice(1).map(button));
    element("tools").append(...view.filter((one) => one.button).map(button));
    writeHelp(element("help"), { Answers: given, Page: own, Image: view });
    listen([...given, ...own, ...view]);
  }

  #show() {
    const question = this.queue.current;
    this.pictures.want(this.queue.questions, [this.before]);
    this.seen = undefined;
    this.viewer.show(question === undefined ? undefined : this.pictures.get(question));
  }

  #loaded(picture) {
    if (picture.question === this.queue.current) this.viewer.more();
  }

  #painted() {
    const question = this.queue.current;
    if (this.viewer === undefined || question === undefined) return;
    this.notes.image(this.viewer);
    if (this.viewer.shown === "" || this.seen === question) return;
    this.seen = question;
    this.clock.restart();
    ask("/api/shown", { question }).catch((error) => this.notes.away(error)); // the answer says it too
  }

  #taken(entry, reply) {
    if (entry.path === "/api/comment") {
      this.notes.say("The comment is saved.");
      return;
    }
    this.queue.acknowledge(entry.body.question);
    this.notes.count(reply.answered);
    this.#fill();
  }

  #refused(entry, error) {
    const what = entry.path === "/api/comment" ? "comment" : `answer "${entry.body.answer}"`;
    this.notes.alarm(`The ${what} was not taken: ${error.message}.`);
    if (entry.path === "/api/answer") this.queue.acknowledge(entry.body.question);
    this.#fill();
  }

  async #fill() {
    clearTimeout(this.later);
    try {
      await this.queue.fill();
      this.notes.back();
      if (this.queue.current === undefined) {
        this.notes.nothing();
        this.later = setTimeout(() => this.#fill(), NOTHING);
      }
    } catch (error) {
      this.notes.away(error);
      this.later = setTimeout(() => this.#fill(), AGAIN);
      return;
    }
    if (this.viewer.picture?.question === this.queue.current) this.pictures.want(this.queue.questions, [this.before]);
    else this.#show();
  }
}

async function begin() {
  for (;;) {
    try {
      return await ask("/api/session");
    } catch (error) {
      element("note").textContent = `${error.message}; trying again …`;
      await new Promise((resolve) => setTimeout(resolve, AGAIN));
    }
  }
}

await new Reader(await begin()).start();
