import { type MethodDefinition, optional, pool, required } from "./definition.js";
import { destroyingResult, dryRunParam } from "./dry-run-params.js";
import { listOf, object, oneOf, record, text } from "./json-schema.js";
import { pageParams } from "./page-params.js";
import { termsParams } from "./terms-params.js";

const oneBookmark = object({ bookmarks: oneOf(record("Bookmark")) });
const shown = {
  id: "tank/guests/g1/disk-0#monday",
  guid: "3638339086458732932",
  created: "2026-11-29T12:25:55.000Z",
};

export const BOOKMARK_DEFINITIONS: Readonly<Record<string, MethodDefinition>> = {
  CreateBookmark: {
    summary: "Keeps of a snapshot what increments need of it, so that it can be deleted",
    description:
      "A bookmark has the guid and the time of a snapshot and none of its data. A bookmark of the same snapshot with this name is a success.",
    params: {
      id: required(text("The snapshot, `NAME@SNAPSHOT`, without the pool or with it.")),
      dest: required(text("The name of the bookmark: what follows the `#`.")),
      pool,
      ...termsParams,
    },
    result: oneBookmark,
    effect: "repeatable",
    answeredBy: "pool",
    failures: {
      "request.missing_field": "`need an id`, or `need a dest`",
      "dataset.not_found": "`not found`",
      "dataset.wrong_type": "`not a snapshot`",
      "name.invalid": "`not a valid dataset: …`, or `invalid bookmark dest`",
      "dataset.exists": "`dataset already exists`: a bookmark of another snapshot",
      "dataset.busy": "it is in use",
      "pool.no_space": "`no space left on device`",
    },
    since: "0.1.0",
    examples: [
      {
        name: "of a disk",
        params: { id: "guests/g1/disk-0@monday", dest: "monday" },
        result: { bookmarks: [shown] },
      },
    ],
  },
  ListBookmarks: {
    summary: "Lists the bookmarks of a pool, or those of a dataset and of all below it",
    params: {
      id: optional(text("The dataset. Without it, the whole pool.")),
      ...pageParams("the bookmark's name"),
      pool,
    },
    result: object({ bookmarks: listOf(record("Bookmark")) }),
    effect: "read",
    answeredBy: "pool",
    failures: {
      "dataset.not_found": "`not found`",
      "dataset.wrong_type": "`a snapshot has no bookmarks`",
      "name.invalid": "`not a valid dataset`, of `id` or `after`",
    },
    since: "0.1.0",
    examples: [{ name: "of a guest", params: { id: "guests/g1" }, result: { bookmarks: [shown] } }],
  },
  DeleteBookmark: {
    summary: "Deletes a bookmark, and answers what was deleted",
    params: {
      id: required(text("The bookmark, `NAME#BOOKMARK`, without the pool or with it.")),
      ...dryRunParam,
      pool,
      ...termsParams,
    },
    result: destroyingResult({ bookmarks: oneOf(record("Bookmark")) }),
    effect: "once",
    answeredBy: "pool",
    failures: {
      "request.missing_field": "`need an id`",
      "dataset.not_found": "`not found`",
      "dataset.wrong_type": "`not a bookmark`",
      "name.invalid": "`not a valid dataset: …`, or `invalid bookmark dest`",
      "dataset.busy": "it is in use",
    },
    since: "0.1.0",
    examples: [
      {
        name: "of a disk",
        params: { id: "guests/g1/disk-0#monday" },
        result: { bookmarks: [shown] },
      },
    ],
  },
};
