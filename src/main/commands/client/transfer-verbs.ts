import { type Verb, verbsOf } from "./verb.js";
import { flag, needed, text, volume } from "./verb-parameters.js";
import { parseList } from "./verb-parsers.js";

/** Commands that bring volumes from one daemon to another. */
export const TRANSFER_VERBS: readonly Verb[] = [
  ...verbsOf("volume", "volumes", [
    {
      name: "pull",
      method: "PullVolume",
      summary: "make a copy of another daemon's volume, or bring it up to date",
      arguments: [volume],
      options: [
        needed(text("peer", "--peer <peer>", "the other daemon, by its name in the configuration")),
        needed(text("source", "--source <volume>", "its volume, or a snapshot of it")),
        flag("force", "--force", "destroy what the copy has and its source has not"),
      ],
      lasts: true,
    },
    {
      name: "abandon-receive",
      method: "AbandonReceive",
      summary: "give up a receive that has broken and could go on",
      arguments: [volume],
    },
  ]),
  ...verbsOf("snapshot", "plans", [
    {
      name: "plan-send",
      method: "GetSendPlan",
      summary: "tell what is sent to a receiver that has some snapshots of a volume",
      arguments: [text("id", "<name>", "the volume, or the snapshot")],
      options: [
        {
          ...text("have", "--have <guids>", "the guids that the receiver has, newest first, with commas"),
          parse: parseList,
        },
      ],
    },
  ]),
];
