import { Cron } from "croner";
import { z } from "zod";

function isSchedule(text: string): boolean {
  try {
    return new Cron(text, { paused: true }).nextRun() !== null;
  } catch {
    return false;
  }
}

const volumeName = z.string().regex(/^[\w.: -]+(?:\/[\w.: -]+)*$/, "must be the name of a volume");

/** A volume that is pulled by a schedule. */
const entry = z.strictObject({
  /** The copy, without its pool. */
  volume: volumeName,
  /** Without it, the first pool. */
  pool: z.string().min(1).optional(),
  peer: z.string().min(1),
  source: volumeName,
  schedule: z.string().refine(isSchedule, "must be a schedule as cron has it, such as */15 * * * *"),
  force: z.boolean().default(false),
});

export const replication = z.array(entry);

export type ReplicationSettings = Readonly<z.output<typeof entry>>;

/** What of the schedules names something that the configuration has not. */
export function findStrayReplications(
  entries: readonly ReplicationSettings[],
  peers: Readonly<Record<string, unknown>>,
  pools: readonly { readonly name: string }[],
): readonly { readonly path: readonly (string | number)[]; readonly message: string }[] {
  return entries.flatMap(({ peer, pool }, index) => [
    ...(Object.hasOwn(peers, peer)
      ? []
      : [{ path: ["replication", index, "peer"], message: "is none of peers" }]),
    ...(pool === undefined || pools.some(({ name }) => name === pool)
      ? []
      : [{ path: ["replication", index, "pool"], message: "is none of pools" }]),
  ]);
}
