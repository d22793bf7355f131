import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { freePort } from "./daemon.js";
import { until } from "./until.js";

/** Why tests with Prometheus are skipped here. Undefined: it is there. */
export function whyNoPrometheus(): string | undefined {
  const missing = ["prometheus", "promtool"].find((tool) => spawnSync(tool, ["--version"]).error);
  if (missing === undefined) return undefined;
  if (process.env.REQUIRE_PROMETHEUS === "1") throw new Error(`no ${missing}, and REQUIRE_PROMETHEUS is 1`);
  return `no ${missing} is installed (Debian: prometheus)`;
}

/** Runs promtool. */
export function promtool(args: readonly string[], input = ""): { status: number | null; output: string } {
  const { status, stdout, stderr } = spawnSync("promtool", args, { input, encoding: "utf8" });
  return { status, output: `${stdout}${stderr}` };
}

/** A server that scrapes a daemon each second and has its rules. */
export interface Prometheus {
  /** The `data` of a reply of its API, version 1. */
  ask(path: string): Promise<unknown>;
  stop(): Promise<void>;
}

/** @param folder - of this test, for its data; @param rules - a file */
export async function startPrometheus(folder: string, target: string, rules: string): Promise<Prometheus> {
  const config = join(folder, "prometheus.json");
  // JSON is YAML.
  writeFileSync(
    config,
    JSON.stringify({
      global: { scrape_interval: "1s", scrape_timeout: "1s", evaluation_interval: "1s" },
      rule_files: [rules],
      scrape_configs: [{ job_name: "imagestore", static_configs: [{ targets: [target] }] }],
    }),
  );
  const port = await freePort();
  const argv = [
    `--config.file=${config}`,
    `--storage.tsdb.path=${join(folder, "data")}`,
    `--web.listen-address=127.0.0.1:${port}`,
    "--log.level=warn",
  ];
  const server: ChildProcess = spawn("prometheus", argv, { stdio: ["ignore", "inherit", "inherit"] });
  const exited = once(server, "exit");
  const get = async (path: string) => fetch(`http://127.0.0.1:${port}${path}`);
  await until("Prometheus is ready", async () => (await get("/-/ready").catch(() => undefined))?.ok === true);
  return {
    ask: async (path) => {
      const reply = (await (await get(`/api/v1/${path}`)).json()) as { data: unknown };
      return reply.data;
    },
    stop: async () => {
      server.kill("SIGTERM");
      await exited;
    },
  };
}
