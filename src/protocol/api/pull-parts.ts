import { optional, pool, required } from "./definition.js";
import { count, flag, object, oneOf, record, text } from "./json-schema.js";

/** The guid and the volume of the examples. */
export const guid = "3638339086458732932";
export const volume = { id: "tank/guests/g1/disk-0", size: 10240, device: "/dev/zvol/tank/guests/g1/disk-0" };

/** What comes of a volume of a peer. */
export const pullParams = {
  id: required(text("The copy, without the pool or with it.")),
  peer: required(text("The other daemon, by its name in `peers` of the configuration.")),
  source: required(
    text("Its volume, whose newest snapshot comes, or one of its snapshots, by the names that it knows."),
  ),
  force: optional(
    flag("Destroys what the copy has and its source has not: newer snapshots, and what was written to it."),
  ),
  pool,
};

/** The answer of a pull, and of a step of a migration. */
export const pulledMembers = {
  volumes: oneOf(record("Volume")),
  pulled: object(
    {
      snapshot: text("The newest snapshot that both have, by its full name here."),
      guid: text("Its guid; empty of a dry run of a migration."),
      bytes: count("Of the streams that came; 0 where it had all, and of a dry run.", "bytes"),
      full: flag("Whether a stream came that built on nothing."),
    },
    [],
    "What came.",
  ),
};

/** How any of them fails. */
export const ofAPull = {
  "request.missing_field": "`need an id`, `need a peer` or `need a source`",
  "peer.unknown": "the configuration has no such peer",
  "peer.unreachable": "the peer can't be reached, or has no time",
  "peer.refused": "the peer refuses: its words follow",
  "dataset.not_found": "the peer has no such volume or snapshot",
  "dataset.diverged":
    "the copy is no copy any more: it is writable, has newer snapshots, or none in common with its source",
  "dataset.wrong_type": "`not a volume`",
  "dataset.protected": "it is an image's, the pool's, or `guests`",
  "dataset.exists": "`dataset already exists`",
  "dataset.has_clones": "with `force`, a snapshot that must go has clones",
  "snapshot.held": "with `force`, a snapshot that must go is held",
  "dataset.busy": "it is in use, or received from elsewhere",
  "name.invalid": "`not a valid dataset: …`",
  "stream.cut_short": "the transfer broke: a repeat goes on",
  "stream.invalid": "the stream can't be received here",
  "pool.no_space": "`no space left on device`",
  "job.cancelled": "a client cancelled it",
} as const;
