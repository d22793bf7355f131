import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { createWebPage, isOfPage } from "../../../src/main/web-page.js";
import type { HttpRequest, WholeReply } from "../../../src/protocol/http/transport.js";

const folder = mkdtempSync(join(tmpdir(), "imagestore-page-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

function put(path: string, text: string): void {
  mkdirSync(join(folder, "assets"), { recursive: true });
  writeFileSync(join(folder, path), text);
}
put("index.html", "plain");
put("index.html.br", "brotli");
put("index.html.gz", "gzip");
put("assets/index-1.js", "script");
put("licenses.md", "no part of the page");

function ask(path: string, { method = "GET", accept = "", from = folder } = {}) {
  const answer = { status: 0, headers: new Map<string, string>(), body: "" };
  const request: HttpRequest = {
    ...{ method, path, query: "", body: "", tooLarge: false },
    header: (name) => (name === "accept-encoding" ? accept : ""),
  };
  const reply: Pick<WholeReply, "send"> = {
    send: (status, headers, body) => {
      Object.assign(answer, { status, headers: new Map(headers), body: String(body) });
    },
  };
  createWebPage(from)(request, reply as WholeReply);
  return answer;
}

describe("the files of the page", () => {
  test("are sent in the shortest coding that their reader takes", () => {
    expect(ask("/ui")).toMatchObject({ status: 200, body: "plain" });
    expect(ask("/ui/", { accept: "gzip" })).toMatchObject({ status: 200, body: "gzip" });
    expect(ask("/ui", { accept: "gzip, deflate, br" })).toMatchObject({ body: "brotli" });
    expect(ask("/ui", { accept: "br" }).headers.get("Content-Encoding")).toBe("br");
    expect(ask("/ui", { accept: "deflate" })).toMatchObject({ status: 200, body: "plain" });
    expect(ask("/ui/assets/index-1.js", { accept: "br" })).toMatchObject({ status: 200, body: "script" });
  });

  test("are kept for ever where their names tell their content, and else asked for each time", () => {
    expect(ask("/ui").headers.get("Cache-Control")).toBe("no-cache");
    expect(ask("/ui/assets/index-1.js").headers.get("Cache-Control")).toContain("immutable");
    for (const path of ["/ui", "/ui/assets/index-1.js"]) {
      const { headers } = ask(path);
      expect(headers.get("Content-Security-Policy")).toContain("default-src 'none'; script-src 'self'");
      expect(headers.get("Content-Security-Policy")).not.toContain("unsafe");
      expect(headers.get("X-Content-Type-Options")).toBe("nosniff");
    }
  });

  test.each([
    "/ui/index.html.br",
    "/ui/index.html",
    "/ui/licenses.md",
    "/ui/assets",
    "/ui/../web-page.js",
    "/ui/%2e%2e/web-page.js",
    "/ui//etc/passwd",
    "/ui/assets/../../main/cli.js",
    "/ui/nope",
  ])("do not have %s among them", (path) => {
    expect(ask(path)).toMatchObject({ status: 404, body: "404 page not found\n" });
  });

  test("are only read", () => {
    expect(ask("/ui", { method: "POST" })).toMatchObject({ status: 405 });
    expect(ask("/ui", { method: "HEAD" })).toMatchObject({ status: 200 });
  });

  test("are not there where they were not built, and that is no crash", () => {
    expect(ask("/ui", { from: join(folder, "none") })).toMatchObject({ status: 404 });
  });

  test("are below /ui alone", () => {
    expect(["/ui", "/ui/", "/ui/assets/x"].map(isOfPage)).toEqual([true, true, true]);
    expect(["/", "/u", "/uix", "/rpc", ""].map(isOfPage)).toEqual([false, false, false, false, false]);
  });
});
