import { isWholeList, type Page, pageOf } from "../../protocol/storage/page.js";
import type { Selection } from "../drivers/driver.js";
import { isPublished } from "./partial-receive.js";

export const nameOf = ({ name }: { readonly name: string }) => name;

/** Lets a driver choose the page of a list, of what clients may see. Undefined: the whole list. */
export function selectionOf(page: Page): Selection | undefined {
  if (isWholeList(page)) return undefined;
  return (found) => pageOf(found.filter(isPublished), nameOf, page);
}
