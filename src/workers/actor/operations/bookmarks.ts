import { coversName } from "../../../protocol/access/name-patterns.js";
import { failed, type Outcome, succeed } from "../../../protocol/storage/failures.js";
import { type BookmarkName, type DatasetName, datasetOf } from "../../../protocol/storage/names.js";
import type { OperationHandlers } from "../../../protocol/storage/operations.js";
import { pageOf } from "../../../protocol/storage/page.js";
import type { BookmarkRecord } from "../../../protocol/storage/records.js";
import { nameOf } from "../listed-page.js";
import { isPublished } from "../partial-receive.js";
import type { ActorContext } from "./context.js";

type BookmarkOperations = Pick<OperationHandlers, "CreateBookmark" | "ListBookmarks" | "DeleteBookmark">;

export function bookmarkOperations({ zfs, locks }: ActorContext): BookmarkOperations {
  async function findBookmark(
    dataset: DatasetName,
    name: BookmarkName,
  ): Promise<Outcome<BookmarkRecord | undefined>> {
    const listed = await zfs.listBookmarks(dataset);
    if (!listed.ok) return listed;
    return succeed(listed.value.find((each) => each.name === name));
  }

  return {
    CreateBookmark: ({ snapshot, name }) =>
      locks.with([{ name: datasetOf(snapshot), mode: "one" }], async () => {
        const origin = await zfs.find(snapshot);
        if (!origin.ok) return origin;
        if (origin.value === undefined) return failed.notFound;
        const made = await zfs.bookmark(snapshot, name);
        // A bookmark of the same snapshot is what a repeated call finds.
        if (!made.ok && made.failure.code !== "dataset.exists") return made;
        const found = await findBookmark(datasetOf(snapshot), name);
        if (!found.ok) return found;
        if (found.value === undefined) return failed.notFound;
        return found.value.guid === origin.value.guid ? succeed(found.value) : failed.exists;
      }),

    async ListBookmarks({ root, ...page }) {
      const listed = await zfs.listBookmarks(root);
      if (!listed.ok) return listed;
      const { names } = page;
      const isShown = (dataset: string) => names === undefined || coversName(names, dataset);
      const shown = listed.value.filter((each) => isPublished(each) && isShown(each.name.replace(/#.*/, "")));
      return succeed(pageOf(shown, nameOf, page));
    },

    DeleteBookmark: ({ dataset, name }) =>
      locks.with([{ name: dataset, mode: "one" }], async () => {
        const found = await findBookmark(dataset, name);
        if (!found.ok) return found;
        if (found.value === undefined) return failed.notFound;
        const destroyed = await zfs.destroyBookmark(name);
        return destroyed.ok ? succeed(found.value) : destroyed;
      }),
  };
}
