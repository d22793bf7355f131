import { expect, test } from "vitest";
import { withoutPaths } from "../../../../src/protocol/storage/path-text.js";

test.each([
  ["ENOENT: no such file, open '/var/lib/imagestore/a.raw'", "ENOENT: no such file, open '…/a.raw'"],
  ["/dev/zfs and /proc/self/mounts are required.", "…/zfs and …/mounts are required."],
  ["rename '/a' -> '/x/y/'", "rename '…/a' -> '…/'"],
  ['(/etc/x), "/y"', '(…/x), "…/y"'],
])("%s loses its paths", (text, expected) => {
  expect(withoutPaths(text)).toBe(expected);
});

test.each([
  "tank/guests/g1/disk-0@s1 is busy",
  "expected 200, received 404, url: http://127.0.0.1:1/images/x/download",
  "application/json and / alone",
  "…/again",
])("%s stays as it is", (text) => {
  expect(withoutPaths(text)).toBe(text);
});
