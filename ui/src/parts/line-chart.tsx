interface LineChartProps {
  readonly title: string;
  /** The newest last; undefined where nothing was measured. */
  readonly values: readonly (number | undefined)[];
  /** How many values fit into the width. */
  readonly room: number;
  readonly text: (value: number) => string;
  /** What the newest value means where there is none. */
  readonly none: string;
}

const WIDTH = 240;
const HEIGHT = 56;

/** The line through the values, broken where there is none. */
function lineOf(values: LineChartProps["values"], room: number, most: number): string {
  const step = WIDTH / (room - 1);
  const begin = WIDTH - (values.length - 1) * step;
  let isDown = false;
  const parts = values.map((value, index) => {
    if (value === undefined) {
      isDown = false;
      return "";
    }
    const x = begin + index * step;
    const y = HEIGHT - 2 - (value / most) * (HEIGHT - 6);
    const command = isDown ? "L" : "M";
    isDown = true;
    return `${command}${x.toFixed(1)} ${y.toFixed(1)}`;
  });
  return parts.join("");
}

/** A small chart of the last minutes, with its newest and its greatest value as text. */
export function LineChart({ title, values, room, text, none }: LineChartProps) {
  const known = values.filter((value) => value !== undefined);
  const most = Math.max(0, ...known);
  const newest = values.at(-1);
  const now = newest === undefined ? none : text(newest);
  return (
    <figure class="chart">
      <figcaption>
        <span class="chart-title">{title}</span>
        <span class="chart-now">{now}</span>
      </figcaption>
      <svg
        viewBox={`0 0 ${WIDTH} ${HEIGHT}`}
        preserveAspectRatio="none"
        role="img"
        aria-label={`${title}: now ${now}, at most ${text(most)}`}
      >
        <path class="chart-base" d={`M0 ${HEIGHT - 2}H${WIDTH}`} />
        <path class="chart-line" d={lineOf(values, room, most || 1)} />
      </svg>
      <p class="chart-most">at most {text(most)}</p>
    </figure>
  );
}
