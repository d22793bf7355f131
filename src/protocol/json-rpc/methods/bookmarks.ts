import { fail, failed, type Outcome, succeed, tellAbout } from "../../storage/failures.js";
import { type BookmarkName, bookmarkOf, type DatasetName, type PoolName } from "../../storage/names.js";
import type { Ask, Operation } from "../../storage/operations.js";
import type { BookmarkRecord } from "../../storage/records.js";
import { joinWithin } from "../joined.js";
import { quote } from "../json-text.js";
import { string, struct } from "../params.js";
import { dryRunField } from "./dry-run.js";
import { change, destroying, type Method, method } from "./method.js";
import { pageFields, pageOfNames } from "./paging.js";
import { inPool, onName, onNameExplained, refuse } from "./routing.js";
import { termsFields } from "./terms.js";

const fields = { id: string, pool: string };

function encodeBookmark({ name, guid, created }: BookmarkRecord): string {
  const at = new Date(created * 1000).toISOString();
  return `{"id":${quote(name)},"guid":${quote(guid)},"created":"${at}"}`;
}

const encodeOne = (bookmark: BookmarkRecord) => `{"bookmarks":[${encodeBookmark(bookmark)}]}`;

/** Reads `DATASET#BOOKMARK`. Fails: name.invalid. */
function splitId(id: string): { readonly id: string; readonly mark: string | undefined } {
  const at = id.indexOf("#");
  return at < 0 ? { id, mark: undefined } : { id: id.slice(0, at), mark: id.slice(at + 1) };
}

const needDest = tellAbout(fail("request.missing_field", "need a dest"), {
  field: "dest",
  wanted: "the name of the bookmark behind its #",
});

/** What follows the `#`, or what is wrong with it, which is told only of what exists. */
function onBookmark(
  dataset: DatasetName,
  mark: string,
  plan: (name: BookmarkName) => Operation,
): Outcome<Operation> {
  const name = bookmarkOf(dataset, mark);
  return name.ok ? succeed(plan(name.value)) : refuse(dataset, name);
}

export const bookmarkMethods: readonly Method[] = [
  change({
    struct: "BookmarkRequest",
    request: struct({ ...fields, dest: string, ...termsFields }),
    operation: "CreateBookmark",
    role: "operate",
    plan: ({ dest, ...request }, pools) =>
      onNameExplained(pools, request, ({ dataset, snapshot }) => {
        if (snapshot === undefined) return refuse(dataset, failed.notSnapshot);
        if (dest === "") return refuse(snapshot, needDest);
        return onBookmark(dataset, dest, (name) => ({ op: "CreateBookmark", snapshot, name }));
      }),
    encode: encodeOne,
  }),
  method({
    struct: "BookmarkRequest",
    request: struct({ ...fields, ...pageFields }),
    operation: "ListBookmarks",
    role: "read",
    plan: (request, pools) => {
      const list = (root: Ask<"ListBookmarks">["root"], pool: PoolName): Outcome<Operation> => {
        const page = pageOfNames({ pools, pool }, request);
        return page.ok ? succeed({ op: "ListBookmarks", root, ...page.value }) : page;
      };
      return request.id === ""
        ? inPool(pools, request, ({ pool }) => list(pool, pool))
        : onName(pools, request, ({ pool, dataset, snapshot }) =>
            snapshot === undefined
              ? list(dataset, pool)
              : refuse(snapshot, fail("dataset.wrong_type", "a snapshot has no bookmarks")),
          );
    },
    encode: (bookmarks, mostBytes) => {
      const joined = joinWithin(bookmarks, encodeBookmark, mostBytes);
      return joined === undefined ? undefined : `{"bookmarks":[${joined}]}`;
    },
  }),
  destroying({
    struct: "BookmarkRequest",
    request: struct({ ...fields, ...dryRunField, ...termsFields }),
    operation: "DeleteBookmark",
    role: "operate",
    plan: ({ pool, ...request }, pools) => {
      const { id, mark } = splitId(request.id);
      return onNameExplained(pools, { pool, id }, ({ dataset, snapshot }) => {
        if (snapshot !== undefined || mark === undefined) {
          return refuse(snapshot ?? dataset, fail("dataset.wrong_type", "not a bookmark"));
        }
        return onBookmark(dataset, mark, (name) => ({ op: "DeleteBookmark", dataset, name }));
      });
    },
    encode: encodeOne,
  }),
];
