/** A path from the root. What follows a word, a colon or a slash is part of a dataset's name or of a URL. */
const PATH = /(?<![\w.:/…-])\/(?:[^\s'"`:,;()]*\/)?([^\s'"`:,;()/]*)/g;

/** `text` for clients: of each path of this machine, only its last part is left, as `…/NAME`. */
export function withoutPaths(text: string): string {
  return text.replace(PATH, (path, name: string) => (path === "/" ? path : `…/${name}`));
}
