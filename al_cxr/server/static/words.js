// A project's figures in words, as `al-cxr label status` says them.

const share = (value) => `${(100 * value).toFixed(1)} %`;
export const whole = (count) => count.toLocaleString("en");

/** `91.2 % (84.0 to 96.1 %), 120 images`; why there is no value where there is none. */
export function said(figure, { plain = false, signed = false } = {}) {
  if (figure.value === null) return figure.why ? `not known: ${figure.why}` : "not known";
  const sign = (value) => (signed && value > 0 ? "+" : "");
  const one = (value) => (plain ? value.toFixed(2) : `${sign(value)}${(100 * value).toFixed(1)}`);
  const unit = plain ? "" : " %";
  const images = `${whole(figure.n)} images`;
  if (figure.low === null || figure.high === null) {
    return `${one(figure.value)}${unit}, ${images}, without an interval: all answers are alike`;
  }
  const why = figure.why ? `; ${figure.why}` : "";
  return `${one(figure.value)}${unit} (${one(figure.low)} to ${one(figure.high)}${unit}), ${images}${why}`;
}

/** Whether to stop: {title, lines, done}. What is measured comes first; hints are named so. */
export function advice(status) {
  const goal = status.goal ? `${status.goal.figure} of ${share(status.goal.at_least)} or more` : "the goal";
  const lines = [];
  const { certified, exams, needed, hours } = status;
  if (certified) {
    const newer = certified.model === status.model ? "" : " Newer models have not been examined.";
    lines.push(
      `Certified for model ${certified.model} by an exam on ${whole(certified.size)} audited images: ` +
        `at least ${share(certified.low)}.${newer}`,
    );
    return { title: `You may stop: ${goal} is reached`, lines, done: true };
  }
  if (!status.model) lines.push("There is no model yet: it needs labels of two classes.");
  else if (exams.length) lines.push(`The next exam is at ${whole(exams[0])} audited images of its kind.`);
  else lines.push("The audit is too small to certify it: it takes more patients, or a lower goal.");
  if (status.until_certified !== null) {
    lines.push(`Hint: a model as good as this one looks passes with about ${whole(status.until_certified)} such images.`);
  }
  if (needed && status.model) lines.push(`Hint: ${curveSays(needed, status.trained_on)}`);
  if (hours && hours.value) {
    const most = hours.high === null ? "many more" : hours.high.toFixed(1);
    lines.push(`Hint: that is about ${hours.value.toFixed(1)} hours of reading (${hours.low.toFixed(1)} to ${most}).`);
  }
  if (status.stable !== null) {
    lines.push(`Hint: the last three trainings changed ${status.stable ? "next to no" : "some"} predictions.`);
  }
  return { title: `Go on: ${goal} is not certified`, lines, done: false };
}

function curveSays(needed, there) {
  if (needed.value === null) return `how many more labels it takes is not known: ${needed.why}.`;
  if (needed.value <= there) {
    return "the learning curve is there already: audited images are missing, not labels to learn from.";
  }
  const most = needed.high === null ? "many more" : whole(Math.round(needed.high));
  return (
    `the learning curve reaches it at about ${whole(Math.round(needed.value))} labels to learn from ` +
    `(${whole(Math.round(needed.low))} to ${most}); there are ${whole(there)}.`
  );
}
