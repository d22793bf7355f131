import type { LibraryEnd } from "../libzfs/library-call.js";
import { type CommandEnd, succeeded } from "./run-command.js";

/** The verbs that are told apart, so that no argument ever becomes a word of its own. */
const VERBS: ReadonlySet<string> = new Set([
  ...["list", "get", "holds", "version", "hold", "release", "destroy", "rollback", "create", "snapshot"],
  ...["clone", "rename", "set", "inherit", "program", "sync", "mount", "unmount"],
]);

/**
 * What a command is, in two or one words of a small set: `zfs list`, `zpool sync`, `lzc_create`. What
 * stands before the verb depends on the configuration, so the verb is the first word that is one.
 */
export function verbOf(argv: readonly string[]): string {
  const [first = ""] = argv;
  if (first.startsWith("lzc_")) return first;
  const at = argv.findIndex((word) => VERBS.has(word));
  if (at < 1) return "other";
  return `${/zpool[^/]*$/.test(argv[at - 1] ?? "") ? "zpool" : "zfs"} ${argv[at]}`;
}

/** `ok`, `failed`, or what ended it instead. */
export function outcomeOf({ exit }: Pick<CommandEnd | LibraryEnd, "exit">): string {
  switch (exit.kind) {
    case "exited":
      return succeeded({ exit }) ? "ok" : "failed";
    case "returned":
      return exit.errno === 0 && Object.keys(exit.errors).length === 0 ? "ok" : "failed";
    default:
      return exit.kind;
  }
}
