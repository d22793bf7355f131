import { isReady } from "../pools/readiness.js";
import type { ProcessReport } from "../threads/process-list.js";
import { actorSections, workLines } from "./actor-text.js";
import { configText } from "./config-text.js";
import type { Answer, Diagnosis } from "./diagnosis.js";
import { hideSecrets } from "./hidden-secrets.js";
import { ageText, alignRows, section, sizeText } from "./text-layout.js";
import { transferSections } from "./transfer-text.js";

/** The states of processes, from proc(5). */
const STATES: Readonly<Record<string, string>> = {
  R: "runs",
  S: "sleeps",
  D: "hangs in the kernel",
  T: "stopped",
  t: "traced",
  Z: "ended, not reaped",
  I: "idle",
};

/** Most pieces of late work of a pool. The oldest are the cause of the others. */
const LATE_SHOWN = 20;

/** The whole diagnosis as a text. It has no secret: see hideSecrets. */
export function renderDiagnosis(diagnosis: Diagnosis): string {
  const sections = [
    `imagestore diagnosis of ${new Date(diagnosis.at).toISOString()}\n`,
    section("Versions", alignRows(diagnosis.versions)),
    section("Daemon", daemonLines(diagnosis)),
    section("Threads", threadLines(diagnosis)),
    section("Notices", noticeLines(diagnosis)),
    section("Late", lateLines(diagnosis)),
    ...diagnosis.actors.flatMap((actor) => actorSections(actor, diagnosis)),
    ...transferSections(diagnosis),
    section("HTTP", httpLines(diagnosis)),
    section("Processes", processLines(diagnosis.processes)),
    section("Configuration", configText(diagnosis.config).split("\n")),
  ];
  return hideSecrets(sections.join("\n"));
}

function daemonLines({ at, pid, uptimeMs, readiness, loop }: Diagnosis): string[] {
  const ms = (value: number) => `${value.toFixed(1)} ms`;
  const state = () => {
    if (!readiness.ok) return `not known: ${readiness.why}`;
    if (isReady(readiness.value)) return "ready (200)";
    return readiness.value.stopping ? "stopping (503)" : "not ready (503)";
  };
  const pools = readiness.ok ? [...readiness.value.pools] : [];
  return alignRows([
    ["pid", String(pid)],
    ["uptime", `${ageText(uptimeMs)}, since ${new Date(at - uptimeMs).toISOString()}`],
    ["/readyz", state()],
    ...pools.map(([pool, told]) => [`  pool ${pool}`, told]),
    [
      "event loop of main",
      `delay ${ms(loop.nowMs)} now, p99 ${ms(loop.p99Ms)}, most ${ms(loop.maxMs)}; ${(loop.busy * 100).toFixed(1)} % busy`,
    ],
  ]);
}

/** `answers`, or that the part is silent. */
function answerText(answer: Answer<unknown>): string {
  return answer.ok ? "answers" : `SILENT: ${answer.why}`;
}

function threadLines({ actors, streaming, config }: Diagnosis): string[] {
  return alignRows([
    ["thread", "state", "pending", "restarts", "answer"],
    ...actors.map(({ pool, state, pending, restarts, said }) => [
      `actor of ${pool}`,
      state,
      `${pending} of ${config.limits.mailbox}`,
      String(restarts),
      answerText(said),
    ]),
    ["streaming", "-", "-", String(streaming.restarts), answerText(streaming.said)],
  ]);
}

function noticeLines({ readiness }: Diagnosis): string[] {
  if (!readiness.ok) return [`not known: ${readiness.why}`];
  return [...readiness.value.notices].flatMap(([pool, notices]) =>
    notices.map((notice) => `pool ${pool}: ${notice}`),
  );
}

/** Late work as last reported: also that of an actor that is silent, and downloads. */
function lateLines({ readiness }: Diagnosis): string[] {
  if (!readiness.ok) return [`not known: ${readiness.why}`];
  return [...readiness.value.late].flatMap(([pool, works]) => [
    `pool ${pool}:`,
    ...works.slice(0, LATE_SHOWN).flatMap((work) => workLines(work, works).map((line) => `  ${line}`)),
    ...(works.length > LATE_SHOWN ? [`  and ${works.length - LATE_SHOWN} more`] : []),
  ]);
}

function httpLines({ http, streaming, config }: Diagnosis): string[] {
  const { connections, mostConnections, bodyBytes, mostBulk } = http;
  const { said } = streaming;
  const bulk = said.ok ? String(said.value.bulkConnections) : `not known (${said.why})`;
  const open = connections.ok ? String(connections.value) : `not known (${connections.why})`;
  return alignRows([
    ["connections", `${open} of ${mostConnections}`],
    ...(mostBulk === undefined ? [] : [["bulk connections", `${bulk} of ${mostBulk}`]]),
    ["bodies in flight", `${sizeText(bodyBytes)} of ${sizeText(config.limits.bodyBytesInFlight)}`],
  ]);
}

/** A process tree as a table; a child is deeper than its parent. Also for processes of another daemon. */
export function processLines(processes: Answer<readonly ProcessReport[]>): string[] {
  if (!processes.ok) return [`not known: ${processes.why}`];
  if (processes.value.length === 0) return [];
  const rows = processes.value.map(({ pid, parent, state, name, ms, waitsIn }) => {
    const shown = STATES[state] ?? state;
    return [String(pid), String(parent), ageText(ms), name, waitsIn ? `${shown} (${waitsIn})` : shown];
  });
  return alignRows([["pid", "parent", "age", "program", "state"], ...rows]);
}
