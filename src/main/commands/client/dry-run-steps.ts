import type { ShownRecord } from "./record-tables.js";
import type { Verb } from "./verb.js";

interface Step {
  readonly would: string;
  readonly id: string;
  readonly bytes: number | null;
}

const listOf = (value: unknown): readonly object[] => (Array.isArray(value) ? value.map(Object) : []);
const bytesOf = (value: unknown) => (typeof value === "number" ? value : null);

/** The links, and the volume that comes of them. */
function restoreSteps({ volumes, backups, bytes }: ShownRecord): readonly Step[] {
  const links = listOf(backups).map(
    (link): Step => ({
      would: Reflect.get(link, "from") === null ? "receive, full" : "receive, increment",
      id: String(Reflect.get(link, "snapshot")),
      bytes: bytesOf(Reflect.get(link, "bytes")),
    }),
  );
  const made = listOf(volumes).map(
    (volume): Step => ({ would: "make", id: String(Reflect.get(volume, "id")), bytes: bytesOf(bytes) }),
  );
  return [...links, ...made];
}

/** In their order; what goes at the peer, and here, goes last. */
function migrationSteps({ volumes, plan, destroys }: ShownRecord): readonly Step[] {
  const { peer, source, base, estimatedBytes, snapshot, fences, drops } = Object(plan);
  const [volume] = listOf(volumes);
  const at = `at ${peer}`;
  const step = (would: string, id: unknown, bytes: unknown = null): Step => ({
    ...{ would, id: String(id), bytes: bytesOf(bytes) },
  });
  return [
    ...(fences === true ? [step(`fence, ${at}`, source)] : []),
    ...(typeof snapshot === "string" ? [step(`snapshot, ${at}`, snapshot)] : []),
    base === null
      ? step(`receive from ${peer}, all`, Reflect.get(volume ?? {}, "id"), estimatedBytes)
      : step(`receive from ${peer}, since`, Object(base).id, estimatedBytes),
    ...(Array.isArray(drops) ? drops.map((each) => step(`destroy, ${at}`, each)) : []),
    ...listOf(destroys).map((each) =>
      step("destroy, here", Reflect.get(each, "id"), Reflect.get(each, "bytes")),
    ),
  ];
}

/** What the answer of a dry run says would be done. */
export function stepsOf(kind: NonNullable<Verb["steps"]>, answer: unknown): readonly ShownRecord[] {
  const steps = kind === "restore" ? restoreSteps : migrationSteps;
  return steps(Object(answer)).map((step) => ({ ...step }));
}
