// Requests to the server, and the two ways in which they fail.

/** The server said no; to ask again does not help. */
export class Refused extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

/** No answer came, or the server cannot answer now; to ask again may help. */
export class Lost extends Error {}

const PATIENCE = 15_000; // milliseconds
const PATIENCE_WITH_IMAGES = 120_000;
const LATER = new Set([401, 408, 425, 429]); // Unauthorised too: an address with a fresh token makes it good.

/** A POST of `body`, or a GET where there is none; what the server answers, as an object. */
export async function ask(path, body) {
  const post = body === undefined ? {} : {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(body),
  };
  return read(path, post, PATIENCE, (response) => response.json());
}

/** The bytes of a file. */
export function bytes(path) {
  return read(path, {}, PATIENCE_WITH_IMAGES, (response) => response.arrayBuffer());
}

/** An image that is decoded and can be drawn. */
export async function bitmap(path) {
  const blob = await read(path, {}, PATIENCE_WITH_IMAGES, (response) => response.blob());
  return createImageBitmap(blob);
}

async function read(path, options, patience, content) {
  let response, found;
  try {
    response = await fetch(path, { ...options, signal: AbortSignal.timeout(patience) });
    found = response.ok ? await content(response) : await response.text();
  } catch {
    throw new Lost("no connection to the server");
  }
  if (response.ok) return found;
  const message = reason(found) ?? `the server answered ${response.status}`;
  if (response.status >= 500 || LATER.has(response.status)) throw new Lost(message);
  throw new Refused(response.status, message);
}

function reason(text) {
  try {
    return JSON.parse(text).error;
  } catch {
    return undefined;
  }
}
