import type { FailedOutcome } from "../../../protocol/storage/failures.js";
import { succeeded } from "../../processes/run-command.js";
import { HOLD_PREFIX } from "../driver.js";
import { rowsOf } from "./list-rows.js";
import type { ZfsCommands } from "./zfs-commands.js";

/** Most tags in a message. */
const MAX_TAGS = 20;

/**
 * A refusal because of a hold, with who holds the snapshot: downloads of ours, or others, whose
 * tags it names. Runs `zfs holds` for that. Every other refusal comes back as it is, and so does
 * one whose holds can't be read, or are gone by now.
 */
export async function withHolders(
  refused: FailedOutcome,
  commands: Pick<ZfsCommands, "zfs">,
): Promise<FailedOutcome> {
  const { failure } = refused;
  const name = failure.about?.object;
  if (failure.code !== "snapshot.held" || name === undefined) return refused;
  const end = await commands.zfs(["holds", "-H", name]);
  if (!succeeded(end)) return refused;
  const tags = rowsOf(end).map(([, tag = ""]) => tag);
  if (tags.length === 0) return refused;
  const foreign = tags.filter((tag) => !tag.startsWith(HOLD_PREFIX)).sort();
  const others = foreign.length > 0 ? [`by others, with the ${list(foreign)} (zfs holds ${name})`] : [];
  const downloads = foreign.length < tags.length ? ["by a download of it"] : [];
  const detail = `tags of its holds: ${tags.sort().slice(0, MAX_TAGS).join(", ")}`;
  return {
    ok: false,
    failure: { ...failure, message: `${name} is held ${[...others, ...downloads].join(", and ")}`, detail },
  };
}

function list(tags: readonly string[]): string {
  const named = tags.slice(0, MAX_TAGS).map((tag) => JSON.stringify(tag));
  const more = tags.length > MAX_TAGS ? ` and ${tags.length - MAX_TAGS} more` : "";
  return `${tags.length === 1 ? "tag" : "tags"} ${named.join(", ")}${more}`;
}
