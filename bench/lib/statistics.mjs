// @ts-check

/** The middle value, or the mean of the two in the middle. @param {readonly number[]} values at least one */
export function median(values) {
  const sorted = Float64Array.from(values).sort();
  const upper = sorted.length >> 1;
  return mean([...sorted.subarray(sorted.length % 2 === 1 ? upper : upper - 1, upper + 1)]);
}

/** @param {readonly number[]} values @param {number} percent */
export function percentile(values, percent) {
  const sorted = Float64Array.from(values).sort();
  const index = Math.ceil((percent / 100) * sorted.length) - 1;
  return sorted[Math.max(index, 0)] ?? Number.NaN;
}

/** How much `ys` grows for each unit of `xs`, by least squares. @param {readonly number[]} xs @param {readonly number[]} ys */
export function slope(xs, ys) {
  const meanX = mean(xs);
  const meanY = mean(ys);
  let covariance = 0;
  let variance = 0;
  for (const [index, x] of xs.entries()) {
    covariance += (x - meanX) * ((ys[index] ?? 0) - meanY);
    variance += (x - meanX) ** 2;
  }
  return variance === 0 ? 0 : covariance / variance;
}

/** @param {readonly number[]} values */
function mean(values) {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}
