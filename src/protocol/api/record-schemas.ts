import { JOB_STATES } from "../storage/job-record.js";
import { BACKUP_SCHEMAS } from "./backup-schemas.js";
import {
  count,
  flag,
  integer64,
  type JsonSchema,
  listOf,
  mebibytes,
  object,
  orNull,
  record,
  text,
  texts,
  time,
  word,
} from "./json-schema.js";

/** The members of a nic, as mistify-agent has them; storage has no use for them. */
const nicTexts = {
  name: text("Its name on the node."),
  network: text("The network that it is in."),
  model: text("What the guest sees, such as `virtio`."),
  mac: text("Its hardware address."),
  address: text("Its IP address."),
  netmask: text("The mask of its network."),
  gateway: text("The gateway of its network."),
  device: text("The device behind it."),
};
const vlans = listOf(integer64("int64", "The number of a VLAN."), "The VLANs that it is in.");

const disk = {
  bus: text("Comes back as it was sent."),
  device: text("Comes back as it was sent."),
  size: mebibytes("The size. Of a disk with an image: that of the image, whatever the request says."),
  volume: text("The volume, `POOL/guests/ID/disk-N`, once it is made."),
  image: text("The id of the image that it is cloned from; empty for a disk that starts empty."),
  source: text("The path of the volume's device, once it is made."),
};

const guestId = text("The guest's id: one component of a name. Its disks are below `POOL/guests/ID`.");
/** What storage has no use for comes back as it was sent, and is left out where it is empty. */
const guestMembers = {
  type: text("Comes back as it was sent, as all that follow but `disks`."),
  image: text("Of no use here: each disk names its own."),
  state: text("The state of the guest."),
  memory: integer64("uint64", "The memory of the guest."),
  cpu: integer64("uint64", "The processors of the guest."),
  vnc: integer64("int64", "The port of its console."),
  metadata: texts("Names and values."),
};

/** A schema of an object of which every member may be left out. */
const asInput = (
  properties: Readonly<Record<string, JsonSchema>>,
  needed: readonly string[],
  description: string,
): JsonSchema =>
  object(
    properties,
    Object.keys(properties).filter((name) => !needed.includes(name)),
    description,
  );

/** The records of requests and answers, by the names that clients give them. Sizes are whole MiB. */
export const RECORDS: Readonly<Record<string, JsonSchema>> = {
  Image: object(
    {
      id: text("The image's id."),
      type: text("What the request for it said, or the image service; often `kvm` or `container`."),
      volume: text("The volume, `POOL/images/ID`. Not there while it is fetched."),
      snapshot: text(
        "The snapshot that is cloned: the volume's oldest. Not there while it is fetched, and in the trash.",
      ),
      size: mebibytes("The size of its volume; 0 while it is fetched."),
      status: word(
        ["pending", "complete", "trash"],
        "`pending` while it is fetched, or waits for that; `trash` only where ListImages was asked for that.",
      ),
      origin: text(
        "Of a layered image: the snapshot of another that it builds on. Not there where that other is in the trash.",
      ),
    },
    ["volume", "snapshot", "origin"],
    "An image: a volume whose snapshot is cloned for disks.",
  ),
  Volume: object(
    {
      id: text("The full name."),
      size: mebibytes("The size; 0 of a filesystem, which DeleteDataset answers too."),
      device: text("The path of its device. With the embedded driver that of a file."),
      properties: { ...record("VolumeProperties"), description: "Its settings and tags." },
    },
    ["properties"],
    "A volume. Only SetVolume and GetVolumeProperties answer with its properties.",
  ),
  VolumeProperties: object(
    {
      compression: text("How new blocks are compressed, as zfsprops(7) has it."),
      sync: text("When writes are on the disk: `standard`, `always` or `disabled`."),
      readonly: flag("Whether its device refuses writes."),
      provisioning: word(["thick", "thin"], "Whether room is kept for all that it may write."),
      volblocksize: count("The size of its blocks.", "bytes"),
      tags: texts("Its tags by their names."),
    },
    [],
    "The settings of a volume.",
  ),
  Bookmark: object(
    {
      id: text("The full name, `POOL/NAME#BOOKMARK`."),
      guid: text("The guid of the snapshot, in digits."),
      created: text("When the snapshot was made, RFC 3339."),
    },
    [],
    "A bookmark: what is left of a snapshot, to send increments from.",
  ),
  Doomed: object(
    {
      id: text("The full name of a dataset, a snapshot or a bookmark."),
      bytes: orNull(
        count(
          "What it takes alone and would give back; null where that is not known. What it shares with others is in none of them.",
          "bytes",
        ),
      ),
    },
    [],
    "What a call would destroy.",
  ),
  ...BACKUP_SCHEMAS,
  Snapshot: object(
    {
      id: text("The full name, `POOL/NAME@SNAPSHOT`."),
      size: mebibytes("What was written between the snapshot before and this one."),
    },
    [],
    "A snapshot.",
  ),
  Guest: object(
    {
      id: guestId,
      ...guestMembers,
      nics: listOf(record("Nic"), "Its network cards."),
      disks: listOf(record("Disk"), "Its disks, in their order."),
    },
    [...Object.keys(guestMembers), "nics", "disks"],
    "A guest, as it was sent, with what is known of its disks. Empty members are left out.",
  ),
  Disk: object(disk, [], "A disk of a guest."),
  Nic: object(
    { ...nicTexts, vlans: orNull(vlans) },
    ["name", "mac", "device"],
    "A network card of a guest. Storage has no use for it.",
  ),
  GuestInput: asInput(
    {
      id: guestId,
      ...guestMembers,
      nics: listOf(record("NicInput"), "Its network cards."),
      disks: listOf(record("DiskInput"), "Its disks, in their order."),
    },
    ["id"],
    "A guest in a request.",
  ),
  DiskInput: asInput(disk, [], "A disk in a request: with an `image`, or with a `size`."),
  NicInput: asInput({ ...nicTexts, vlans }, [], "A network card in a request."),
  Job: object(
    {
      id: text("Unique over all runs of the daemon. Ids sort in the order in which their jobs began."),
      method: text("The method that was called; `download` for a download."),
      pool: text("The pool."),
      dataset: text("What it is about, by its full name."),
      caller: orNull(text("The id of the token of who asked; null where the daemon asks for none.")),
      peer: text("The address of its client."),
      requestId: text("The id of its request, as in the log."),
      state: word(JOB_STATES, "`queued` and `running`, then one of the others for good."),
      phase: orNull(text("What it does now; null once it has ended, and where it has no phases.")),
      bytes: count("Moved so far.", "bytes"),
      totalBytes: orNull(count("How many there will be; null where that is not known.", "bytes")),
      bytesPerSecond: orNull(count("Of the last seconds; null where it moves none now.", "bytes/s")),
      etaSeconds: orNull(count("Until its end; null where that is not known.", "s")),
      createdAt: time("When it was asked for."),
      startedAt: orNull(time("When its turn came; null before.")),
      endedAt: orNull(time("When it ended; null before.")),
      failure: orNull(
        object(
          {
            code: text("The reason, as failures have it."),
            message: text("What happened, in words."),
            retryable: flag("Whether the same call may succeed later, although nobody changes anything."),
          },
          [],
          "Why it did not do what was asked; null where it did, and before its end.",
        ),
      ),
      repeatSafe: flag("Whether the same call may be made again without looking first."),
      fetch: object(
        {
          source: text("The URL that it is fetched from, without password and query."),
          requests: count(
            "How often a source was asked: once, and each time that the fetch broke.",
            "requests",
          ),
          repeatedBytes: count(
            "What came again, or came before it began anew at another source. It is not counted in `bytes`.",
            "bytes",
          ),
        },
        [],
        "Of a call that fetches, such as RequestImage, once it has begun.",
      ),
      result: {
        type: "object",
        description:
          "In the answers of GetJob, WaitJob and CancelJob: what its method has answered, if it was asked for with `background` or a key, and is short enough to be kept.",
      },
    },
    ["fetch", "result"],
    "Work that lasts.",
  ),
  AuditLine: object(
    {
      time: time("When the call ended."),
      caller: text(
        "The id of its token, or the subject of its certificate. Not there where none is asked for.",
      ),
      peer: text("The address of its client."),
      method: text("The method that was called; `download` for a download that was not allowed."),
      pool: text("The pool; empty where the call named none that could be served."),
      datasets: listOf(
        { type: "string" },
        "What it is about: full names, or the id of an image, a guest or a job.",
      ),
      code: text("`ok`, or the reason of its failure."),
      message: text("What the client was told; only of a failure."),
      requestId: text("The id of its request, as in the log."),
    },
    ["caller", "message"],
    "A change, or a call that its token was not for.",
  ),
  Replication: object(
    {
      id: text("The copy, by its full name."),
      pool: text("Its pool."),
      peer: text("The daemon that has its source."),
      source: text("Its source, by the name that the peer knows it by."),
      schedule: text("When it is pulled, as cron has it."),
      state: word(["waiting", "running"], "Whether it is pulled now."),
      startedAt: orNull(time("When the newest pull began; null before the first one.")),
      upToDateAt: orNull(
        time("When the newest pull that succeeded began: the copy is at least as new; null before that."),
      ),
      bytes: orNull(count("Of the streams of that pull; null before it.", "bytes")),
      failures: count("Pulls that have failed since one succeeded."),
      failure: orNull(
        object(
          { code: text("The reason, as failures have it."), message: text("What happened, in words.") },
          [],
          "Why the newest pull failed; null if it did not.",
        ),
      ),
      nextAt: orNull(time("When the schedule pulls it again; null if it never does.")),
    },
    [],
    "A volume that is pulled by a schedule.",
  ),
  Quota: object(
    {
      id: text("The guest's dataset, `POOL/guests/ID`."),
      quota: mebibytes("How much all below it may take; 0 where there is no limit."),
      used: mebibytes("What it takes now, with snapshots and the room that is kept for thick volumes."),
    },
    [],
    "The quota of a guest.",
  ),
  Pool: object(
    {
      name: text("Its name."),
      driver: word(["openzfs", "embedded"], "What keeps it: OpenZFS, or a folder."),
      size: mebibytes("As `zpool list` shows it: `allocated` and `free` together."),
      allocated: mebibytes("As `zpool list` shows it."),
      free: mebibytes("As `zpool list` shows it."),
      available: mebibytes("The room below `POOL/guests`, after quotas, reservations and redundancy."),
      promised: mebibytes(
        "What thin volumes and clones may still grow. VerifyDisks takes what fits into `available` less this.",
      ),
      health: text("`ONLINE`, `DEGRADED`, … as zpool calls it."),
      fragmentation: orNull(count("Of its free space; null where the pool doesn't know it.", "%")),
    },
    [],
    "A pool.",
  ),
};
