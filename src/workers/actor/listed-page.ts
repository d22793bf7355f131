import { coversName } from "../../protocol/access/name-patterns.js";
import { isWholeList, type Page } from "../../protocol/storage/page.js";
import type { Selection } from "../drivers/driver.js";
import { isPublished } from "./partial-receive.js";

export const nameOf = ({ name }: { readonly name: string }) => name;

/**
 * The part of a list that is asked for, of what clients may see and, if there is one, `isWanted` says.
 * Undefined: the whole list.
 */
export function selectionOf(page: Page, isWanted?: Selection["isShown"]): Selection | undefined {
  const { names } = page;
  if (names === undefined && isWanted === undefined && isWholeList(page)) return undefined;
  return {
    page,
    isShown: (info) =>
      isPublished(info) &&
      (names === undefined || coversName(names, info.name)) &&
      (isWanted === undefined || isWanted(info)),
  };
}
