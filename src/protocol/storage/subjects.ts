import type { AnyOperation } from "./node-operations.js";

const SUBJECTS: ReadonlySet<string> = new Set(["id", "name", "dataset", "snapshot", "target", "root"]);

/** The names that an operation is about: datasets, snapshots, the id of an image, a guest or a job. */
export function subjectsOf(operation: AnyOperation): string[] {
  const subjects: string[] = [];
  const { op, ...ask } = operation;
  for (const [key, value] of Object.entries(ask)) {
    if (SUBJECTS.has(key) && typeof value === "string") subjects.push(value);
  }
  if ("of" in operation) return subjectsOf(operation.of);
  if ("guest" in operation) subjects.push(operation.guest.id);
  return subjects;
}
