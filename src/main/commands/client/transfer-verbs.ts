import { type Verb, verbsOf } from "./verb.js";
import { dryRun, flag, needed, text, volume } from "./verb-parameters.js";
import { parseList } from "./verb-parsers.js";

const ofPeer = (source: string) => [
  needed(text("peer", "--peer <peer>", "the other daemon, by its name in the configuration")),
  needed(text("source", "--source <volume>", source)),
  flag("force", "--force", "destroy what the copy has and its source has not"),
];

const wouldDo = flag("dryRun", "-n, --dry-run", "change nothing: show what would be done, here and there");

/** Commands that bring volumes from one daemon to another. */
export const TRANSFER_VERBS: readonly Verb[] = [
  ...verbsOf("volume", "volumes", [
    {
      name: "pull",
      method: "PullVolume",
      summary: "make a copy of another daemon's volume, or bring it up to date",
      arguments: [volume],
      options: [...ofPeer("its volume, or a snapshot of it"), dryRun],
      destroys: "what its source has not",
      lasts: true,
    },
    {
      name: "migrate",
      method: "MigrateVolume",
      summary: "bring another daemon's volume here while its guest goes on",
      arguments: [volume],
      options: [...ofPeer("its volume"), wouldDo],
      steps: "migration",
      lasts: true,
    },
    {
      name: "finish-migration",
      method: "FinishMigration",
      summary: "fence the source, bring the rest, and make the volume here writable",
      arguments: [volume],
      options: [...ofPeer("its volume"), wouldDo],
      steps: "migration",
      lasts: true,
    },
    {
      name: "fence",
      method: "FenceVolume",
      summary: "let nothing change a volume any more, after a last snapshot",
      arguments: [volume, text("dest", "<snapshot>", "the snapshot's name, what follows the @")],
      records: "snapshots",
    },
    {
      name: "unfence",
      method: "UnfenceVolume",
      summary: "take the fence from a volume that stays here after all",
      arguments: [volume],
      records: "properties",
    },
    {
      name: "abandon-receive",
      method: "AbandonReceive",
      summary: "give up a receive that has broken and could go on",
      arguments: [volume],
    },
  ]),
  ...verbsOf("volume", "replications", [
    {
      name: "replications",
      method: "ListReplications",
      summary: "show the volumes that are pulled by a schedule, and how that goes",
      isList: false,
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
