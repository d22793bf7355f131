import { hostname } from "node:os";
import { describe, expect, test } from "vitest";
import { createOriginCheck } from "../../../../src/main/http/request-origin.js";
import type { HttpRequest } from "../../../../src/protocol/http/transport.js";

const settings = { names: ["Node1.Example"], origins: ["https://console.example"] };
const check = createOriginCheck({ ...settings, ui: false });

function request(headers: Readonly<Record<string, string>>): HttpRequest {
  const all: Readonly<Record<string, string>> = { host: "127.0.0.1:19999", ...headers };
  return {
    method: "POST",
    path: "/rpc",
    query: "",
    body: "",
    tooLarge: false,
    header: (name) => all[name] ?? "",
  };
}

describe("the origin of a request", () => {
  test.each([
    "127.0.0.1",
    "127.0.0.1:19999",
    "10.1.2.3:80",
    "[::1]",
    "[::1]:19999",
    "[fe80::1]:1",
    "localhost",
    "LOCALHOST:19999",
    "localhost.",
    hostname(),
    `${hostname()}:19999`,
    "node1.example",
    "NODE1.EXAMPLE:1",
    "",
  ])("a Host of %j passes", (host) => {
    expect(check(request({ host }))).toBeUndefined();
  });

  test.each([
    "evil.example",
    "evil.example:19999",
    "127.0.0.1.evil.example",
    "localhost.evil.example",
    "notlocalhost",
    "127.0.0.1@evil.example",
    "[::1].evil.example",
    "node1.example.evil",
    "127.0.0.1:19999,evil.example",
  ])("a Host of %j is refused, and says what allows it", (host) => {
    expect(check(request({ host }))).toContain("listen.names");
    expect(check(request({ host }))).toContain(JSON.stringify(host));
  });

  test("a refused Host is refused again after one that passed", () => {
    expect(check(request({}))).toBeUndefined();
    expect(check(request({ host: "evil.example" }))).toContain("listen.names");
    expect(check(request({ host: "evil.example" }))).toContain("listen.names");
  });

  test.each([
    "https://evil.example",
    "null",
    "http://127.0.0.1:19999",
    "https://console.example:444",
    "http://console.example",
    "https://console.example.evil",
  ])("an Origin of %j is refused, whatever Sec-Fetch-Site says", (origin) => {
    for (const site of ["", "none", "same-origin", "cross-site"]) {
      expect(check(request({ origin, "sec-fetch-site": site }))).toContain("listen.origins");
    }
  });

  test("a daemon with a page lets that page call, and no other", () => {
    const withPage = createOriginCheck({ ...settings, ui: true });
    for (const host of ["127.0.0.1:19999", "node1.example", "[::1]:19999"]) {
      for (const scheme of ["http", "https"]) {
        expect(withPage(request({ host, origin: `${scheme}://${host}` }))).toBeUndefined();
      }
    }
    for (const origin of [
      "http://127.0.0.1:3000",
      "http://localhost:19999",
      "http://127.0.0.1:19999.evil",
      "null",
    ]) {
      expect(withPage(request({ origin }))).toContain("listen.origins");
    }
    const rebound = { host: "evil.example", origin: "http://evil.example" };
    expect(withPage(request(rebound))).toContain("listen.names");
    expect(withPage(request({ host: "", origin: "http://" }))).toContain("listen.origins");
  });

  test("a configured Origin passes, from another site too", () => {
    const origin = "https://console.example";
    expect(check(request({ origin }))).toBeUndefined();
    expect(check(request({ origin, "sec-fetch-site": "cross-site" }))).toBeUndefined();
  });

  test.each(["cross-site", "same-site", "anything"])("a Sec-Fetch-Site of %j is refused", (site) => {
    expect(check(request({ "sec-fetch-site": site }))).toContain("listen.origins");
  });

  test.each(["none", "same-origin"])("a Sec-Fetch-Site of %j passes", (site) => {
    expect(check(request({ "sec-fetch-site": site }))).toBeUndefined();
  });
});
