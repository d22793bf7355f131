import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type DaemonProcess, startDaemonProcess } from "../support/daemon.js";
import { secretOf, writeTokens } from "../support/token-file.js";
import { until } from "../support/until.js";

describe("a dry run", () => {
  const folder = mkdtempSync(join(tmpdir(), "imagestore-dry-"));
  const audit = join(folder, "audit.log");
  let daemon: DaemonProcess;

  beforeAll(async () => {
    writeTokens(join(folder, "tokens.json"), {
      agent: { role: "operate" },
      looker: { role: "read" },
    });
    daemon = await startDaemonProcess({
      ...{ listen: { port: 0 }, auth: { tokens: join(folder, "tokens.json") }, audit: { file: audit } },
      pools: [{ name: "tank", driver: "embedded", folder: join(folder, "tank") }],
    });
  });
  afterAll(async () => {
    await daemon?.stop();
    rmSync(folder, { recursive: true, force: true });
  });

  async function callAs(caller: string, method: string, params: object) {
    const response = await fetch(`${daemon.url}/rpc`, {
      method: "POST",
      headers: { "content-type": "application/json", authorization: `Bearer ${secretOf(caller)}` },
      body: JSON.stringify({ jsonrpc: "2.0", method, params, id: 1 }),
    });
    return (await response.json()) as { result?: object; error?: { data: { reason: string } } };
  }
  const audited = () =>
    readFileSync(audit, "utf8")
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line) as { method: string; code: string; caller: string });

  test("needs the role of its call, and only a refusal for want of it is a line of the audit file", async () => {
    await callAs("agent", "CreateVolume", { id: "v", size: 8 });
    const tried = await callAs("agent", "DeleteDataset", { id: "v", dryRun: true });
    expect(tried.result).toMatchObject({ destroys: [{ id: "tank/v" }] });
    for (const [caller, method, params] of [
      ["looker", "DeleteDataset", { id: "v", dryRun: true }],
      ["agent", "DeleteImage", { id: "golden", dryRun: true }],
    ] as const) {
      expect((await callAs(caller, method, params)).error?.data.reason).toBe("access.denied");
    }
    expect((await callAs("agent", "DeleteDataset", { id: "none", dryRun: true })).error?.data.reason).toBe(
      "dataset.not_found",
    );
    await callAs("agent", "DeleteDataset", { id: "v" });
    await until("the audit file has the deletion", () => audited().at(-1)?.code === "ok");
    expect(audited().map(({ method, code, caller }) => `${method} ${code} ${caller}`)).toEqual([
      "CreateVolume ok agent",
      "DeleteDataset access.denied looker",
      "DeleteImage access.denied agent",
      "DeleteDataset ok agent",
    ]);
  });
});
