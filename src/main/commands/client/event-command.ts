import { Command } from "commander";
import { notEmpty } from "../option-parsers.js";
import { addressOf } from "./address-flags.js";
import { exitWithFailure } from "./call-failure.js";
import { type ClientFlags, clientCommand } from "./client-flags.js";
import type { EventFlags } from "./watch-events.js";

/** `imagestore event watch`: what happens on the node, a line each. See docs/events.md. */
export function eventCommand(): Command {
  return new Command("event").description("watch what happens on the node").addCommand(
    clientCommand("watch", "print events as they come, until Ctrl-C")
      .option(
        "--topics <names>",
        "only these, with commas: image, volume, snapshot, guest, pool, …",
        notEmpty,
      )
      .option("--since <place>", "EPOCH:SEQ of an event: those after it too, if they are kept", notEmpty)
      .action(async (flags: ClientFlags & EventFlags) => {
        try {
          const { watchEvents } = await import("./watch-events.js");
          await watchEvents(await addressOf(flags), flags);
        } catch (error) {
          exitWithFailure(error);
        }
      }),
  );
}
