// @ts-check
import { figure } from "./table.mjs";

/** @typedef {{ label: string, value: number }} Bar */

const WIDTH = 760;
const BAR_HEIGHT = 18;
const ROW_HEIGHT = 26;
const TOP = 44;
const LABEL_WIDTH = 330;
const VALUE_WIDTH = 90;
const PADDING = 12;
/** The approximate width of a character at the font size used. */
const CHARACTER_WIDTH = 6.4;

/** @param {string} text */
function escaped(text) {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
}

/** @param {string} text */
function shortened(text) {
  const room = Math.floor((LABEL_WIDTH - PADDING) / CHARACTER_WIDTH);
  return text.length <= room ? text : `${text.slice(0, room - 1)}…`;
}

/**
 * An SVG chart of horizontal bars from 0, with their values. Its colours follow the reader's light or dark scheme.
 * @param {string} title @param {string} unit @param {readonly Bar[]} bars
 */
export function barChart(title, unit, bars) {
  const height = TOP + bars.length * ROW_HEIGHT + PADDING;
  const longest = Math.max(...bars.map(({ value }) => value), 0) || 1;
  const room = WIDTH - LABEL_WIDTH - VALUE_WIDTH - PADDING;
  const rows = bars.map(({ label, value }, index) => {
    const y = TOP + index * ROW_HEIGHT;
    const middle = y + BAR_HEIGHT / 2 + 4;
    const length = Math.max((Math.max(value, 0) / longest) * room, 1).toFixed(1);
    return [
      `<text x="${LABEL_WIDTH}" y="${middle}" text-anchor="end">${escaped(shortened(label))}</text>`,
      `<rect x="${LABEL_WIDTH + 8}" y="${y}" width="${length}" height="${BAR_HEIGHT}" rx="2"/>`,
      `<text class="value" x="${LABEL_WIDTH + 14 + Number(length)}" y="${middle}">${figure(value)}</text>`,
    ].join("");
  });
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" width="${WIDTH}" height="${height}" role="img">
<title>${escaped(`${title}, ${unit}`)}</title>
<style>
text { font: 12px system-ui, sans-serif; fill: #1f2328; }
.title { font-weight: 600; font-size: 14px; }
.value { font-variant-numeric: tabular-nums; }
rect { fill: #2f81f7; }
@media (prefers-color-scheme: dark) { text { fill: #e6edf3; } rect { fill: #4493f8; } }
</style>
<text class="title" x="${PADDING}" y="24">${escaped(`${title} (${unit})`)}</text>
${rows.join("\n")}
</svg>
`;
}
