import { subjectsOf } from "../../protocol/storage/subjects.js";
import type { CommandReport, WorkReport } from "../../protocol/threads/work-report.js";
import type { Work } from "./work.js";

/** Most waits of one piece of work in a report: a recursive call may have hundreds. */
const WAITS_SHOWN = 8;
const HOLDERS_SHOWN = 8;
/** `all`: where the holders of a lock are looked for; undefined: they are not. */
export function reportOf(
  work: Work,
  now: number,
  all: Iterable<Work> | undefined,
  running: readonly CommandReport[],
): WorkReport {
  const datasets = work.operation ? subjectsOf(work.operation) : [];
  const lateMs = now - work.dueAt;
  const waits = [...(work.lockWait ? [work.lockWait] : []), ...(work.waits ?? [])];
  return {
    id: work.id,
    name: work.name,
    ...(work.operation?.requestId === undefined ? {} : { requestId: work.operation.requestId }),
    datasets,
    ms: Math.round(now - work.startedAt),
    ...(lateMs > 0 ? { lateMs: Math.round(lateMs) } : {}),
    locks: work.locks ?? [],
    waitsFor: waits.slice(0, WAITS_SHOWN).map(({ kind, what, since, movedAt }) => ({
      kind,
      what,
      ms: Math.round(now - since),
      ...(movedAt === undefined ? {} : { stillMs: Math.round(now - movedAt) }),
      ...(kind === "lock" && all ? { heldBy: holdersOf(what, work, all) } : {}),
    })),
    commands: running.filter(({ argv }) => argv.some((word) => isAbout(word, datasets))),
  };
}

/** The ids of the work that has a lock which is of the same name and kind as `wanted`. */
function holdersOf(wanted: string, by: Work, all: Iterable<Work>): number[] {
  const lock = wanted.slice(0, wanted.lastIndexOf(" "));
  const holders: number[] = [];
  for (const work of all) {
    const holds = work !== by && work.locks?.some((held) => held.startsWith(`${lock} `));
    if (holds && holders.length < HOLDERS_SHOWN) holders.push(work.id);
  }
  return holders;
}

/**
 * Whether a word of an argv names one of `datasets`, or something at or below a guest or an image
 * of that id. `zfs destroy` has the snapshots of a dataset in one word, `DATASET@a,b`.
 */
export function isAbout(word: string, datasets: readonly string[]): boolean {
  const [dataset = "", tags = ""] = word.split("@");
  return datasets.some((name) => {
    if (!name.includes("/"))
      return dataset.split("/").some((part) => part === name || part === `.partial-${name}`);
    const [ofDataset = "", tag] = name.split("@");
    if (tag === undefined) return dataset === ofDataset;
    return dataset === ofDataset && (tags === "" || tags.split(",").includes(tag));
  });
}
