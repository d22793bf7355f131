import { describe, expect, test } from "vitest";
import { isAllowed, mayBeLocal, shownUrl } from "../../../../src/protocol/storage/image-hosts.js";

const hosts = {
  service: "images.example:8080",
  sources: ["mirror.example", "10.0.0.7:8443", "[fd00::7]:80", "plain.example:80", "localhost"],
};

describe("hosts of images", () => {
  test.each([
    ["http://images.example:8080/x", true],
    ["http://images.example/x", false],
    ["http://images.example:8081/x", false],
    ["http://mirror.example/x", true],
    ["https://MIRROR.example:99/x", true],
    ["http://mirror.example.evil/x", false],
    ["http://user@mirror.example/x", true],
    ["http://mirror.example@evil.example/x", false],
    ["https://10.0.0.7:8443/x", true],
    ["https://10.0.0.7/x", false],
    ["http://[fd00::7]/x", true],
    ["https://[fd00::7]/x", false],
    ["http://plain.example/x", true],
    ["https://plain.example/x", false],
    ["ftp://mirror.example/x", false],
    ["file:///mirror.example", false],
  ])("%s is allowed: %s", (url, allowed) => {
    expect(isAllowed(hosts, new URL(url))).toBe(allowed);
  });

  test.each([
    ["http://images.example:8080/", true],
    ["http://mirror.example/", false],
    ["http://10.0.0.7:8443/", true],
    ["http://[fd00::7]/", true],
    ["http://localhost/", true],
  ])("%s may have an address of this machine: %s", (url, may) => {
    expect(mayBeLocal(hosts, new URL(url))).toBe(may);
  });
});

test.each([
  ["http://h/a/b", "http://h/a/b"],
  ["http://u:p@h:81/a?X-Amz-Signature=s#f", "http://h:81/a?…"],
  ["nonsense", "a URL that can't be read"],
])("of %s is shown %s", (url, shown) => {
  expect(shownUrl(url)).toBe(shown);
});
