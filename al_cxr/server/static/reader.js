// One image, one key, the next image.

const KEYS = { "?": "unsure", s: "skip", x: "unreadable", n: "not-frontal" };
const image = document.getElementById("image");
const said = document.getElementById("said");
let session, current, since, queue = [];

async function ask(path, body) {
  const sent = body === undefined ? {} : {
    method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body),
  };
  const response = await fetch(path, sent);
  const found = await response.json();
  if (!response.ok) throw new Error(found.error);
  return found;
}

async function fill() {
  const { questions } = await ask("/api/next", { n: session.prefetch + 1 });
  queue = questions.map((one) => one.question);
  for (const question of queue) new Image().src = `/api/images/${question}/preview`;
}

function show(question) {
  current = question;
  since = performance.now();
  if (question === undefined) {
    image.removeAttribute("src");
    said.textContent = "There is nothing left to ask.";
    return;
  }
  image.src = `/api/images/${question}/preview`;
  ask("/api/shown", { question }).catch(tell);
}

async function answer(word) {
  const question = current;
  const milliseconds = Math.round(performance.now() - since);
  queue = queue.filter((one) => one !== question);
  show(queue[0]);
  const { answered } = await ask("/api/answer", { question, answer: word, milliseconds, comment: "", view: {} });
  said.textContent = `${answered} answered`;
  await fill();
  if (current === undefined) show(queue[0]);
}

async function press(event) {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const number = Number(event.key);
  if (event.key === "u") {
    const { question, answer: earlier } = await ask("/api/undo", {});
    queue.unshift(question);
    show(question);
    said.textContent = `taken back: ${earlier}`;
  } else if (event.key === "h") {
    said.textContent = "u takes the last answer back; c writes a comment";
  } else if (event.key === "c" && current) {
    const comment = prompt("Comment");
    if (comment) await ask("/api/comment", { question: current, comment });
  } else if (current && number >= 1 && number <= session.classes.length) {
    await answer(session.classes[number - 1]);
  } else if (current && event.key in KEYS) {
    await answer(KEYS[event.key]);
  }
}

function tell(error) { said.textContent = error.message; }

session = await ask("/api/session");
const named = session.classes.map((name, i) => `${i + 1} ${name}`);
document.getElementById("keys").textContent = [...named, ...Object.entries(KEYS).map((pair) => pair.join(" ")),
  "u undo", "c comment", "h help"].join(" · ");
document.addEventListener("keydown", (event) => press(event).catch(tell));
await fill();
show(queue[0]);
