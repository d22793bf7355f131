import type { ActorDiagnosis } from "../../protocol/threads/actor-diagnosis.js";
import type { CommandReport, WaitReport, WorkReport } from "../../protocol/threads/work-report.js";
import type { Config } from "../config/schema.js";
import type { ActorPart, Diagnosis } from "./diagnosis.js";
import { shownArgv } from "./hidden-secrets.js";
import { ageText, alignRows, commandText, section, shortArgv } from "./text-layout.js";

/** The sections of a pool. Those that only its actor knows are one line while it is silent. */
export function actorSections(actor: ActorPart, { at, config }: Pick<Diagnosis, "at" | "config">): string[] {
  const { pool, said } = actor;
  const late = section(
    `Pool ${pool}: recently late`,
    actor.recentlyLate.flatMap(({ at: notedAt, work }) => [
      `${ageText(at - notedAt)} ago:`,
      ...workLines(work, [work]).map((line) => `  ${line}`),
    ]),
  );
  if (!said.ok) return [section(`Pool ${pool}: work under way`, [`SILENT: ${said.why}`]), late];
  const { works, work, commands, holds } = said.value;
  const more = works - work.length;
  return [
    section(`Pool ${pool}: queues`, queueLines(said.value, config)),
    section(`Pool ${pool}: work under way`, [
      ...work.flatMap((each) => workLines(each, work)),
      ...(more > 0 ? [`and ${more} more, which are younger`] : []),
    ]),
    section(`Pool ${pool}: commands`, commandLines(commands)),
    section(
      `Pool ${pool}: holds`,
      alignRows(
        holds.map(({ tag, name, users }) => [
          name ?? "(held before the actor's restart)",
          tag,
          `${users} ${users === 1 ? "download" : "downloads"}`,
        ]),
      ),
    ),
    late,
  ];
}

function queueLines(
  { slots, fetches, runner }: ActorDiagnosis,
  { numFetchers, maxPending }: Config,
): string[] {
  const runnerText = { none: "none is needed", answers: "answers", silent: "SILENT: commands have no pids" };
  return [
    ...alignRows([
      ["queue", "running", "waiting"],
      ["image fetches", `${fetches.running} of ${numFetchers}`, `${fetches.waiting} of ${maxPending}`],
      ...slots.map(({ kind, running, most, waiting }) => [
        `${kind} commands`,
        `${running} of ${most}`,
        String(waiting),
      ]),
    ]),
    `runner: ${runnerText[runner]}`,
  ];
}

/** A piece of work, with its locks, waits and commands. `all`: to name the work that has a lock. */
export function workLines(work: WorkReport, all: readonly WorkReport[]): string[] {
  const { id, name, requestId, datasets, ms, lateMs, locks, waitsFor, commands } = work;
  const facts = [
    `#${id} ${name}`,
    ageText(ms),
    ...(lateMs === undefined ? [] : [`LATE by ${ageText(lateMs)}`]),
    ...(datasets.length > 0 ? [datasets.join(" ")] : []),
    ...(requestId === undefined ? [] : [`request ${requestId}`]),
  ];
  return [
    facts.join("  "),
    ...locks.map((lock) => `    has lock  ${lock}`),
    ...waitsFor.map((wait) => `    waits     ${waitText(wait, all)}`),
    ...commands.map((command) => `    command   ${commandLine(command)}`),
  ];
}

function waitText({ kind, what, ms, stillMs, heldBy }: WaitReport, all: readonly WorkReport[]): string {
  const holders = (heldBy ?? []).map((id) => {
    const holder = all.find((each) => each.id === id);
    return holder ? `#${id} ${holder.name}` : `#${id}`;
  });
  const held = holders.length > 0 ? `, held by ${holders.join(", ")}` : "";
  const still = stillMs === undefined ? "" : `, whose bytes stand still for ${ageText(stillMs)}`;
  return `${ageText(ms)} for ${kind} ${what}${still}${held}`;
}

function commandLine({ argv, pid, state, ms }: CommandReport): string {
  const where = state === "slot" ? "waits for a slot" : pid === undefined ? "runs" : `pid ${pid}`;
  return `${where}, ${ageText(ms)}: ${commandText(shownArgv(shortArgv(argv)))}`;
}

function commandLines(commands: readonly CommandReport[]): string[] {
  if (commands.length === 0) return [];
  const rows = commands.map(({ argv, pid, state, ms }) => [
    pid === undefined ? "-" : String(pid),
    state === "slot" ? "waits for a slot" : "runs",
    ageText(ms),
    commandText(shownArgv(shortArgv(argv))),
  ]);
  return alignRows([["pid", "state", "age", "command"], ...rows]);
}
