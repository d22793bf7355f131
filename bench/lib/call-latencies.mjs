// @ts-check
import { startDownloads } from "./download.mjs";
import { sendAtRate } from "./load.mjs";

export const CALLS_PER_SECOND = 500;
export const CALL_CONNECTIONS = 10;
/** What each download has: more than a run can read. */
export const ENDLESS_MIB = 1024 * 1024;
const MIB = 1024 * 1024;

/**
 * Measures the latency of calls without downloads and during eight downloads of ENDLESS_MIB.
 * @param {import("../run.mjs").Tools} tools
 * @param {{ name: string, port: number, request: string, downloadUrl: string }} server
 */
export async function addLatencies({ settings, add, say, defer }, { name, port, request, downloadUrl }) {
  const load = {
    port,
    connections: CALL_CONNECTIONS,
    perSecond: CALLS_PER_SECOND,
    seconds: settings.seconds,
    request: () => request,
  };
  const alone = await sendAtRate(load);
  const downloads = startDownloads({ url: downloadUrl, count: 8, bytes: ENDLESS_MIB * MIB });
  defer(downloads.cancel);
  const during = await sendAtRate(load);
  downloads.cancel();
  const reports = /** @type {const} */ ([
    ["alone", alone],
    ["during eight downloads", during],
  ]);
  for (const [when, { p50Ms, p99Ms, replies }] of reports) {
    add("latency of calls", `${name} p50 ${when}`, "ms", p50Ms);
    add("latency of calls", `${name} p99 ${when}`, "ms", p99Ms);
    add(
      "calls answered of those due",
      `${name} answered ${when}`,
      "%",
      (replies / (CALLS_PER_SECOND * settings.seconds)) * 100,
    );
    say(`${name} ${when}: p50 ${p50Ms.toFixed(2)} ms, p99 ${p99Ms.toFixed(2)} ms, ${replies} replies`);
  }
}
