import { shownUrl } from "../../protocol/storage/image-hosts.js";

const URLS = /[a-z][a-z0-9+.-]*:\/\/[^\s"'<>\\]+/gi;
/** It begins where a name does: with a look from each of its characters, long names would cost their square. */
const SECRET =
  "(?<![\\w.:-])[\\w.:-]*(?:passw|passphrase|secret|token|credential|signature|api-?key)[\\w.:-]*";
/** `NAME=VALUE`, also within a word, and `"NAME": "VALUE"`. */
const ASSIGNED = new RegExp(`(${SECRET}=|"${SECRET}": ")[^\\s"]+`, "gi");
const NAME_ALONE = new RegExp(`^(?=-)${SECRET}$`, "i");

/**
 * A text without what can be a secret in it: of each URL user, password and query, and the values of
 * names such as `password` and `token`. It hides nothing else, so secrets must not get in by other ways.
 */
export function hideSecrets(text: string): string {
  return text.replace(URLS, shownUrl).replace(ASSIGNED, "$1…");
}

/** An argv without passwords that follow their option, as in `sshpass -p PASSWORD ssh …`. */
export function shownArgv(argv: readonly string[]): string[] {
  const isSshpass = (word: string | undefined) => word !== undefined && /(?:^|\/)sshpass$/.test(word);
  return argv.map((word, index) => {
    const before = argv[index - 1];
    if (before !== undefined && NAME_ALONE.test(before)) return "…";
    if (before === "-p" && isSshpass(argv[index - 2])) return "…";
    if (isSshpass(before) && /^-p./.test(word)) return "-p…";
    return hideSecrets(word);
  });
}
