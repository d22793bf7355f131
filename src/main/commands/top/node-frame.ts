import type { Job } from "../../../client/api-records.js";
import { ageText, printable, sizeText } from "../../diagnosis/text-layout.js";
import { lookOfFill, lookOfHealth } from "../client/record-tables.js";
import { type Column, tableLines } from "../terminal/fitted-table.js";
import { cutLine, type Paint } from "../terminal/paint.js";
import { fitSections } from "../terminal/sections.js";
import {
  type MethodRow,
  type NodeView,
  type PoolRow,
  type SortKey,
  sortedMethods,
  type WaitRow,
} from "./node-view.js";

/** How a frame is drawn. Undefined sizes: there is room for all. */
export interface FrameStyle {
  readonly width: number | undefined;
  readonly height: number | undefined;
  readonly paint: Paint;
}

export interface FrameOf {
  /** How messages name the daemon. */
  readonly daemon: string;
  readonly at: Date;
  readonly sort: SortKey;
  /** What the daemon has told; undefined until it has. */
  readonly view: NodeView | undefined;
  /** Why it does not answer now; undefined while it does. */
  readonly problem: string | undefined;
}

const MIB = 1024 * 1024;
/** A terminal this low has one line for what others have two for. */
const LOW_ROWS = 16;
/** Nothing else is shown then. */
const PROBLEM_LINES = 6;

const number = (value: number | undefined, unit = "") => (value === undefined ? "-" : `${value}${unit}`);
const perSecond = (value: number) =>
  value > 0 && value < 9.95 ? value.toFixed(1) : String(Math.round(value));
const bytesPerSecond = (value: number) => `${sizeText(Math.round(value))}/s`;

/** `0.3 ms`, `12 ms`, `3.4 s`. */
function timeText(ms: number | undefined): string {
  if (ms === undefined) return "-";
  return ms < 9.95 ? `${ms.toFixed(1)} ms` : ageText(ms);
}

const failed = (cell: string) => (cell === "0" ? undefined : "red");
const waiting = (cell: string) => (cell === "0" || cell === "-" ? undefined : "yellow");

const METHODS: readonly Column<MethodRow>[] = [
  { heading: "METHOD", cell: ({ method }) => method },
  { heading: "CALLS/S", cell: (row) => perSecond(row.callsPerSecond), isNumber: true },
  { heading: "MEAN", cell: ({ meanMs }) => timeText(meanMs), isNumber: true, goes: 1 },
  { heading: "P99", cell: ({ p99Ms }) => timeText(p99Ms), isNumber: true, goes: 3 },
  {
    heading: "FAILED/S",
    cell: (row) => perSecond(row.failuresPerSecond),
    isNumber: true,
    goes: 2,
    look: failed,
  },
];

const POOLS: readonly Column<PoolRow>[] = [
  { heading: "POOL", cell: ({ pool }) => pool },
  { heading: "HEALTH", cell: ({ health }) => health, look: lookOfHealth },
  { heading: "CAP", cell: ({ fillPercent }) => number(fillPercent, "%"), isNumber: true, look: lookOfFill },
  {
    heading: "AVAIL",
    cell: ({ availableMiB: mib }) => (mib === undefined ? "-" : sizeText(mib * MIB)),
    isNumber: true,
    goes: 3,
  },
  { heading: "QUEUE", cell: ({ pending }) => number(pending), isNumber: true, goes: 5 },
  { heading: "LATE", cell: ({ late }) => number(late), isNumber: true, goes: 4, look: waiting },
  { heading: "FETCHES", cell: ({ fetches }) => number(fetches), isNumber: true, goes: 2 },
  { heading: "WAITING", cell: (row) => number(row.waitingFetches), isNumber: true, goes: 1, look: waiting },
];

const WAITS: readonly Column<WaitRow>[] = [
  { heading: "WAITS", cell: ({ work }) => work },
  { heading: "SINCE", cell: ({ ms }) => ageText(ms), isNumber: true },
  { heading: "FOR THE LOCK", cell: ({ lock }) => lock },
  { heading: "HELD BY", cell: ({ heldBy }) => heldBy.join(" ") || "-", goes: 1 },
];

const JOBS: readonly Column<Job>[] = [
  { heading: "JOB", cell: ({ id }) => id, goes: 1 },
  { heading: "METHOD", cell: ({ method }) => method, goes: 5 },
  { heading: "NAME", cell: ({ dataset }) => dataset },
  { heading: "STATE", cell: ({ state, phase }) => phase ?? state, goes: 4 },
  { heading: "DONE", cell: doneText, isNumber: true },
  { heading: "BYTES", cell: ({ bytes }) => sizeText(bytes), isNumber: true, goes: 2 },
  {
    heading: "RATE",
    cell: ({ bytesPerSecond: rate }) => (rate === null ? "-" : bytesPerSecond(rate)),
    isNumber: true,
    goes: 3,
  },
  {
    heading: "LEFT",
    cell: ({ etaSeconds }) => (etaSeconds === null ? "-" : ageText(etaSeconds * 1_000)),
    isNumber: true,
    goes: 6,
  },
];

function doneText({ bytes, totalBytes }: Job): string {
  if (totalBytes === null || totalBytes === 0) return "-";
  return `${Math.floor(Math.min(1, bytes / totalBytes) * 100)}%`;
}

/** Parts in as many lines as they need, up to `most`; the last parts go first where there is no room. */
function wrapped(
  parts: readonly string[],
  width: number | undefined,
  most: number,
  between = "  ",
): string[] {
  const lines: string[] = [];
  for (const part of parts) {
    const line = lines.at(-1);
    const longer = line === undefined ? part : `${line}${between}${part}`;
    if (line !== undefined && (width === undefined || longer.length <= width))
      lines[lines.length - 1] = longer;
    else if (lines.length < most) lines.push(part);
    else break;
  }
  return lines;
}

function rateParts({ rates }: NodeView): string[] {
  if (!rates) return ["measuring"];
  const { downloads, fetches, subscribers } = rates;
  const counted = (count: number, one: string, many: string) => `${count} ${count === 1 ? one : many}`;
  return [
    `${perSecond(rates.callsPerSecond)} calls/s`,
    `${perSecond(rates.failuresPerSecond)} failed/s`,
    `mean ${timeText(rates.meanMs)}`,
    `p99 ${timeText(rates.p99Ms)}`,
    `${counted(downloads, "download", "downloads")} ${bytesPerSecond(rates.downloadBytesPerSecond)}`,
    `${counted(fetches, "fetch", "fetches")} ${bytesPerSecond(rates.fetchBytesPerSecond)}`,
    counted(subscribers, "subscriber", "subscribers"),
  ];
}

function headLines({ daemon, at, view, problem }: FrameOf, { width, height, paint }: FrameStyle): string[] {
  const title = ["imagestore", ...(view?.version ? [view.version] : []), printable(daemon)].join(" ");
  const time = at.toTimeString().slice(0, 8);
  const hasRoom = width === undefined || title.length + 2 + time.length <= width;
  const gap = width === undefined ? 2 : width - title.length - time.length;
  const first = paint("bold", title) + (hasRoom ? " ".repeat(gap) + time : "");
  const most = height !== undefined && height < LOW_ROWS ? 1 : 2;
  if (problem !== undefined) {
    const words = `${printable(problem)}; it is asked again each second`.split(" ");
    return [first, ...wrapped(words, width, PROBLEM_LINES, " ").map((line) => paint("red", line))];
  }
  if (!view) return [first];
  const missing = view.missing.map(({ what, why }) =>
    paint("yellow", printable(`not shown: ${what} (${why})`)),
  );
  const knowsRates = !view.missing.some(({ what }) => what.startsWith("calls"));
  return [first, ...(knowsRates ? wrapped(rateParts(view), width, most) : []), ...missing];
}

/** The line that teaches the keys. */
function keysLine(sort: SortKey, paint: Paint): string {
  const key = (name: SortKey, text: string) => paint(name === sort ? "bold" : "dim", text);
  const keys = [
    key("calls", "c calls"),
    key("mean", "m mean"),
    key("p99", "p p99"),
    key("failed", "f failed"),
  ];
  return [paint("dim", "q quits  sort:"), ...keys, key("name", "n name")].join(" ");
}

/** The lines of a frame. Where there is a size, none is longer and they are no more. */
export function frameLines(of: FrameOf, style: FrameStyle): string[] {
  const { view, problem, sort } = of;
  const { width, height, paint } = style;
  const table = { isBare: false, isExact: false, width, paint };
  const tables =
    view === undefined || problem !== undefined
      ? []
      : [
          view.pools.length > 0 ? tableLines(POOLS, view.pools, table) : [],
          view.methods.length > 0 ? tableLines(METHODS, sortedMethods(view.methods, sort), table) : [],
          view.waits.length > 0 ? tableLines(WAITS, view.waits, table) : [],
          view.jobs.length > 0 ? tableLines(JOBS, view.jobs, table) : [],
        ].filter((lines) => lines.length > 0);
  const head = headLines(of, style);
  if (height === undefined)
    return [head, ...tables].flatMap((lines, at) => (at === 0 ? lines : ["", ...lines]));
  const room = Math.max(0, height - 1 - Math.min(head.length, height));
  const body = fitSections(tables, room);
  const filler = Array.from({ length: room - body.length }, () => "");
  const lines = [...head, ...body, ...filler, keysLine(sort, paint)].slice(0, height);
  return width === undefined ? lines : lines.map((line) => cutLine(line, width));
}
