// Windows: which stored values are shown as which grey. The formulas are DICOM's (PS3.3 C.11.2.1).

export const VALUES = 65_536;
const OPAQUE = 0xff000000;

/** Grey of a value, 0 to 1. */
export function grey(window, value) {
  const { center, width } = window;
  switch (window.function) {
    case "SIGMOID":
      return 1 / (1 + Math.exp((-4 * (value - center)) / width));
    case "TABLE":
      return between(window.levels, (value - center) / width + 0.5);
    case "LINEAR":
      if (width <= 1) return value <= center - 0.5 ? 0 : 1;
      return cut((value - (center - 0.5)) / (width - 1) + 0.5);
    default: // LINEAR_EXACT
      return cut((value - center) / width + 0.5);
  }
}

/** What to paint for every value from 0 to `high`: 32 bits as a canvas stores them, opaque. */
export function table(window, inverted, high) {
  const painted = new Uint32Array(VALUES);
  for (let value = 0; value <= high; value += 1) {
    const shown = grey(window, value);
    const level = Math.round(255 * (inverted ? 1 - shown : shown));
    painted[value] = (OPAQUE | (level << 16) | (level << 8) | level) >>> 0;
  }
  return painted;
}

/** The window after a drag: to the right is wider, up is brighter. `right` and `down` are shares of the values' range. */
export function dragged(window, right, down, low, high) {
  const range = Math.max(high - low, 1);
  const width = Math.min(Math.max(window.width + right * range, range / 512, 1), 4 * range);
  const center = Math.min(Math.max(window.center + down * range, low - range), high + range);
  const kind = window.function === "SIGMOID" ? "SIGMOID" : "LINEAR_EXACT";
  return { name: "by hand", center, width, function: kind };
}

function cut(share) {
  return Math.min(Math.max(share, 0), 1);
}

function between(levels, share) {
  const at = cut(share) * (levels.length - 1);
  const left = Math.min(Math.floor(at), levels.length - 2);
  return left < 0 ? levels[0] : levels[left] + (at - left) * (levels[left + 1] - levels[left]);
}
