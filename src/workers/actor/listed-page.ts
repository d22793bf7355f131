import { isWholeList, type Page } from "../../protocol/storage/page.js";
import type { Selection } from "../drivers/driver.js";
import { isPublished } from "./partial-receive.js";

export const nameOf = ({ name }: { readonly name: string }) => name;

/** The page of a list, of what clients may see. Undefined: the whole list. */
export function selectionOf(page: Page): Selection | undefined {
  return isWholeList(page) ? undefined : { page, isShown: isPublished };
}
