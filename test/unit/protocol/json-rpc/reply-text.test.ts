import { expect, test } from "vitest";
import { byteLength, isLongerThan } from "../../../../src/protocol/json-rpc/reply-text.js";

test("a text is longer than a limit if it has more bytes in UTF-8, up to the last one", () => {
  for (const text of ["", "a", "abc", "é", "€", "a€é", "\u{1f600}", "\u{1f600}a", new Uint8Array(5)]) {
    for (let most = 0; most < 12; most++) {
      expect([text, most, isLongerThan(text, most)]).toEqual([text, most, byteLength(text) > most]);
    }
  }
});
