import { type MethodDefinition, optional, pool, required } from "./definition.js";
import { destroyingResult, dryRunParam } from "./dry-run-params.js";
import { count, flag, listOf, object, oneOf, orNull, record, text, word } from "./json-schema.js";
import { pageParams } from "./page-params.js";
import { termsParams } from "./terms-params.js";

const id = required(text("The image's id."));
const oneImage = object({ images: oneOf(record("Image")) });
const golden = {
  id: "golden",
  type: "kvm",
  volume: "tank/images/golden",
  snapshot: "tank/images/golden@v1",
  size: 10240,
  status: "complete",
};
const web = {
  ...{ id: "web", type: "kvm", volume: "tank/images/web", snapshot: "tank/images/web@v2" },
  ...{ size: 10240, status: "complete", origin: "tank/images/golden@v1" },
};

export const IMAGE_DEFINITIONS: Readonly<Record<string, MethodDefinition>> = {
  ListImages: {
    summary: "Lists the images of a pool, those that are being fetched too",
    params: {
      type: optional(text("Only images of this type.")),
      trash: optional(
        flag(
          "Only those that were deleted with `whenInUse` and still have clones. Several may have had one id; a page has all of an id.",
        ),
      ),
      ...pageParams("the image's id"),
      pool,
    },
    result: object({ images: orNull(listOf(record("Image"), "Null where there are none.")) }),
    effect: "read",
    answeredBy: "pool",
    failures: {},
    since: "0.1.0",
    examples: [
      { name: "all", params: {}, result: { images: [golden] } },
      { name: "none of a type", params: { type: "container" }, result: { images: null } },
    ],
  },
  GetImage: {
    summary: "Shows an image",
    params: { id, pool },
    result: oneImage,
    effect: "read",
    answeredBy: "pool",
    failures: { "image.not_found": "`not found`" },
    since: "0.1.0",
    examples: [
      { name: "complete", params: { id: "golden" }, result: { images: [golden] } },
      {
        name: "being fetched",
        params: { id: "next" },
        result: { images: [{ id: "next", type: "", size: 0, status: "pending" }] },
      },
    ],
  },
  RequestImage: {
    summary: "Fetches an image from the image service, and answers when it is complete",
    description:
      "One that the pool has is answered at once. Requests for one image at the same time share a fetch. A fetch that fails leaves nothing.",
    params: {
      id,
      type: optional(text("A property of the image: at most 1024 printable characters.")),
      source: optional(
        text(
          "The URL to fetch it from, where the configuration allows its host. Else the image service has it.",
        ),
      ),
      sources: optional(
        listOf(
          { type: "string" },
          "Instead of `source`: up to 16 URLs that are tried in order. One that fails for good is left for the next. With a `digest` the next one goes on where it broke, else it begins anew.",
        ),
      ),
      digest: optional(
        text(
          "The SHA-256 that its bytes must have as they are transferred, gzipped or not: `sha256:` and 64 hexadecimal digits, or these alone. Not looked at where the pool has the image.",
        ),
      ),
      size: optional(
        count(
          "How many bytes must be transferred; 0 or none for any number. Not looked at where the pool has the image.",
          "bytes",
        ),
      ),
      origin: optional(
        text(
          "Of a layered image, an incremental stream: the image of the same pool that it builds on, as `ID`, or `ID@SNAPSHOT` where that is not the snapshot that is cloned. It shares the data of that one. Not looked at where the pool has the image.",
        ),
      ),
      pool,
      ...termsParams,
    },
    result: oneImage,
    effect: "repeatable",
    mayLast: true,
    answeredBy: "pool",
    failures: {
      "request.missing_field": "`need id`",
      "request.invalid":
        "`type` or `source` is too long, or has a control character; `sources` are too many, or beside a `source`; `digest` or `size` is none; `origin` names no other image of the pool",
      "name.invalid": "the id is no component of a name, or too long for the pool; `origin` is no name",
      "image.not_found": "`origin: there is no image …`",
      "dataset.not_found": "`origin: there is no …`, of its snapshot",
      "dataset.busy": "the image that `origin` names is being fetched",
      "dataset.exists":
        "a dataset of this name is no image; `… is being fetched with another digest`, size or origin",
      "pool.no_space": "`no space left on device`",
      "image.source_refused": "the host of the URL, or of a redirect, is not allowed",
      "image.source_not_found": "`unexpected http response code: …`, 404 or 410",
      "image.source_error": "`unexpected http response code: …`, another that a repeat does not mend",
      "image.http_status": "`unexpected http response code: …`, 408, 429 or 5xx",
      "image.unreachable": "nobody answers there",
      "image.cut_short": "the connection ended before the image did",
      "image.source_changed": "the fetch broke, and the service has another image now",
      "image.bad_stream":
        "what came is no stream of a volume with a snapshot; or builds on one that is not `origin`, or on none",
      "image.digest_mismatch":
        "what came is not what `digest` and `size` say, or what the service has announced",
      "job.cancelled": "`cancelled by a client`",
      "command.missing": "the image is packed by zstd, which nothing here can unpack",
      "service.overloaded": "`resource temporarily unavailable`: too many fetches wait",
    },
    since: "0.1.0",
    examples: [
      { name: "by its id", params: { id: "golden", type: "kvm" }, result: { images: [golden] } },
      {
        name: "on another",
        params: { id: "web", type: "kvm", origin: "golden" },
        result: { images: [web] },
      },
    ],
  },
  DeleteImage: {
    summary: "Deletes an image, its snapshots and its volume",
    description:
      "With `whenInUse` an image that has clones is gone for all methods at once, and its id is free for another. Its volume gets a name that no request can have, and goes with the last of the clones.",
    params: {
      id,
      whenInUse: optional(
        word(["refuse", "trash"], "What becomes of an image with clones. Without it that is refused."),
      ),
      ...dryRunParam,
      pool,
      ...termsParams,
    },
    result: destroyingResult({ images: oneOf(record("Image")) }),
    effect: "once",
    mayLast: true,
    answeredBy: "pool",
    failures: {
      "image.not_found": "`not found`",
      "dataset.busy": "it is being fetched, or in use",
      "dataset.has_clones": "disks are cloned from it, or images build on it: they are named",
      "snapshot.held":
        "a download of its snapshot runs, an image that builds on it is fetched, or somebody else holds it",
      "request.invalid": "`whenInUse` is neither `refuse` nor `trash`",
    },
    since: "0.1.0",
    examples: [{ name: "without clones", params: { id: "golden" }, result: { images: [golden] } }],
  },
  RestoreImage: {
    summary: "Brings an image back that was put into the trash when it was deleted",
    description:
      "It has its id, its type and its snapshots again, and can be cloned and requested as before. What is in the trash is listed by ListImages with `trash`.",
    params: {
      id: required(text("The id that the image had.")),
      volume: optional(
        text("Which of several images that had this id: its `volume`, as ListImages tells it of the trash."),
      ),
      pool,
      ...termsParams,
    },
    result: oneImage,
    effect: "once",
    answeredBy: "pool",
    failures: {
      "request.missing_field": "`need id`",
      "request.invalid": "several images of this id are in the trash, and `volume` names none of them",
      "image.not_found": "no image of this id is in the trash",
      "dataset.exists": "there is an image of this id again, or another dataset of its name",
      "dataset.busy": "another image of this id is being fetched, or it is in use",
      "name.invalid": "the id is no component of a name",
    },
    since: "0.1.0",
    examples: [{ name: "by its id", params: { id: "golden" }, result: { images: [golden] } }],
  },
  PruneImages: {
    summary: "Deletes the images of a pool that nothing is cloned from and that were not used for long",
    description:
      "At least one limit must be given; with both, both must hold. An image is used when it is requested, also where it is there, or cloned; after a restart of the daemon its last use counts as up to an hour later than it was. Images that have clones, are held, open or sent are kept, and so are those that others build on, also where these go. Those that are answered are deleted, or of a dry run would be.",
    params: {
      olderThanSeconds: optional(count("Only images that came into the pool so long ago.", "s")),
      unusedForSeconds: optional(count("Only images that were used last so long ago.", "s")),
      type: optional(text("Only images of this type.")),
      ...dryRunParam,
      pool,
      ...termsParams,
    },
    result: destroyingResult({ images: listOf(record("Image")) }),
    effect: "once",
    mayLast: true,
    answeredBy: "pool",
    failures: {
      "request.missing_field": "`need olderThanSeconds or unusedForSeconds`",
    },
    since: "0.1.0",
    examples: [{ name: "of a month", params: { unusedForSeconds: 2592000 }, result: { images: [golden] } }],
  },
  CloneImage: {
    summary: "Makes a volume of an image, and the parents that it lacks",
    description: "A volume of this name that is a clone of the image is a success.",
    params: {
      id,
      dest: required(text("The name of the new volume, without the pool or with it.")),
      pool,
      ...termsParams,
    },
    result: object({ volumes: oneOf(record("Volume")) }),
    effect: "repeatable",
    mayLast: true,
    answeredBy: "pool",
    failures: {
      "request.missing_field": "`need dest`",
      "name.invalid": "`not a valid dataset: …`, of `dest`",
      "image.not_found": "`not found`",
      "dataset.busy": "the image is being fetched",
      "dataset.exists": "`dataset already exists`, and is no clone of it",
      "dataset.wrong_type": "a parent of `dest` is a volume",
      "dataset.not_found": "the image's snapshot was destroyed meanwhile",
      "pool.no_space": "`no space left on device`",
    },
    since: "0.1.0",
    examples: [
      {
        name: "a disk of a guest",
        params: { id: "golden", dest: "guests/g1/disk-0" },
        result: {
          volumes: [{ id: "tank/guests/g1/disk-0", size: 10240, device: "/dev/zvol/tank/guests/g1/disk-0" }],
        },
      },
    ],
  },
};
