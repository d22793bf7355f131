import { coversName } from "../../protocol/access/name-patterns.js";
import { isWholeList, type Page } from "../../protocol/storage/page.js";
import type { Selection } from "../drivers/driver.js";
import { isPublished } from "./partial-receive.js";

export const nameOf = ({ name }: { readonly name: string }) => name;

/** The part of a list that is asked for, of what clients may see. Undefined: the whole list. */
export function selectionOf(page: Page): Selection | undefined {
  const { names } = page;
  if (names === undefined) return isWholeList(page) ? undefined : { page, isShown: isPublished };
  return { page, isShown: (info) => isPublished(info) && coversName(names, info.name) };
}
