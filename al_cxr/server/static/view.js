// Where an image lies on the screen: size, place, quarter turns, mirrored or not. Lengths are pixels of the screen.

const SMALLEST = 0.02;
const LARGEST = 32;
// A quarter turn clockwise, none to three of them: the columns of the matrix.
const TURNS = [[1, 0, 0, 1], [0, 1, -1, 0], [-1, 0, 0, -1], [0, -1, 1, 0]];

export class View {
  constructor() {
    this.stage = { width: 1, height: 1 };
    this.image = { width: 1, height: 1, aspect: 1 };
    this.reset();
  }

  /** As an image is first seen. */
  reset() {
    this.turns = 0;
    this.mirrored = false;
    this.fit();
  }

  get aside() {
    return this.turns % 2 === 1;
  }

  /** Width and height on the screen at scale 1. */
  get upright() {
    const { width, height, aspect } = this.image;
    return this.aside ? [height * aspect, width] : [width, height * aspect];
  }

  fit() {
    const [width, height] = this.upright;
    this.scale = Math.min(this.stage.width / width, this.stage.height / height);
    this.x = this.y = 0;
    this.fitted = true;
  }

  /** One pixel of the image on one of the screen. */
  exact() {
    this.zoom(1 / this.scale, 0, 0);
  }

  resize(width, height) {
    this.stage = { width, height };
    if (this.fitted) this.fit();
    else this.#hold();
  }

  /** Enlarge, so that what lies at (x, y) from the middle of the stage stays there. */
  zoom(by, x, y) {
    const scale = Math.min(Math.max(this.scale * by, SMALLEST), LARGEST);
    this.x = x + ((this.x - x) * scale) / this.scale;
    this.y = y + ((this.y - y) * scale) / this.scale;
    this.scale = Math.abs(scale - 1) < 1e-9 ? 1 : scale;
    this.fitted = false;
    this.#hold();
  }

  pan(right, down) {
    this.x += right;
    this.y += down;
    this.fitted = false;
    this.#hold();
  }

  /** A quarter turn of what is seen: 1 clockwise, -1 the other way. */
  turn(by) {
    this.turns = (this.turns + (this.mirrored ? 4 - by : 4 + by)) % 4;
    [this.x, this.y] = by > 0 ? [-this.y, this.x] : [this.y, -this.x];
    if (this.fitted) this.fit();
  }

  /** Left becomes right. */
  mirror() {
    this.mirrored = !this.mirrored;
    this.x = -this.x;
  }

  /** Top becomes bottom. */
  upend() {
    this.mirrored = !this.mirrored;
    this.turns = (this.turns + 2) % 4;
    this.y = -this.y;
  }

  /** The six numbers for a canvas, by which an image of that size around (0, 0) is drawn. */
  get matrix() {
    const [a, b, c, d] = TURNS[this.turns];
    const sign = this.mirrored ? -1 : 1;
    const tall = this.scale * this.image.aspect;
    const [x, y] = this.middle;
    return [sign * a * this.scale, b * this.scale, sign * c * tall, d * tall, x, y];
  }

  /** The middle of the image on the stage; at one pixel to one, whole pixels lie on whole pixels. */
  get middle() {
    const { width, height } = this.stage;
    const at = [width / 2 + this.x, height / 2 + this.y];
    if (this.scale !== 1) return at;
    return this.upright.map((length, axis) => Math.round(at[axis] - length / 2) + length / 2);
  }

  /** Some of the image stays on the stage. */
  #hold() {
    const [width, height] = this.upright.map((length) => (length * this.scale + 1) / 2);
    const far = [width + this.stage.width / 2 - 40, height + this.stage.height / 2 - 40].map((one) => Math.max(one, 0));
    this.x = Math.min(Math.max(this.x, -far[0]), far[0]);
    this.y = Math.min(Math.max(this.y, -far[1]), far[1]);
  }
}
