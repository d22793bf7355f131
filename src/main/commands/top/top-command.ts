import { type Command, Option } from "commander";
import { addressOf } from "../client/address-flags.js";
import { exitWithFailure } from "../client/call-failure.js";
import { type ClientFlags, clientCommand } from "../client/client-flags.js";
import type { SortKey } from "./node-view.js";

interface TopFlags extends ClientFlags {
  readonly once?: boolean;
  readonly sort: SortKey;
}

const SORT_KEYS: readonly SortKey[] = ["calls", "mean", "p99", "failed", "name"];

/** `imagestore top`: what the daemon does now. */
export function topCommand(): Command {
  return clientCommand("top", "show what the daemon does now, anew each second, until q")
    .option("--once", "print it once, as where stdout is no terminal")
    .addOption(
      new Option("--sort <key>", "by what the methods are sorted").choices(SORT_KEYS).default("calls"),
    )
    .action(async ({ once, json, sort, ...flags }: TopFlags) => {
      try {
        const { printTop, watchTop } = await import("./run-top.js");
        const address = await addressOf(flags);
        if (once || json || !process.stdout.isTTY) await printTop(address, sort, json === true);
        else await watchTop(address, sort);
      } catch (error) {
        exitWithFailure(error);
      }
    });
}
