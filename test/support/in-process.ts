import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { pino } from "pino";

type DaemonModule = typeof import("../../src/main/daemon.js");
type ConfigModule = typeof import("../../src/main/config/load.js");
type Daemon = Extract<Awaited<ReturnType<DaemonModule["startDaemon"]>>, { ok: true }>["value"];

/** Imports a compiled module of the project, because worker threads need JavaScript. */
export async function compiled<T>(path: string): Promise<T> {
  return (await import(fileURLToPath(new URL(`../../compiled/${path}`, import.meta.url)))) as T;
}

/** A daemon in this process, for tests that crash its threads. */
export interface InProcessDaemon {
  readonly daemon: Daemon;
  readonly url: string;
  stop(): Promise<void>;
}

export async function startInProcess(config: Record<string, unknown>): Promise<InProcessDaemon> {
  const { parseConfig } = await compiled<ConfigModule>("main/config/load.js");
  const { startDaemon } = await compiled<DaemonModule>("main/daemon.js");
  const folder = mkdtempSync(join(tmpdir(), "imagestore-test-"));
  const parsed = parseConfig({ listen: { port: 0 }, dataDir: folder, ...config });
  if (!parsed.ok) throw new Error(parsed.failure.message);
  const log = pino(
    { level: process.env.IMAGESTORE_TEST_LOG ?? "fatal" },
    pino.destination({ fd: 2, sync: true }),
  );
  const started = await startDaemon(parsed.value, log);
  if (!started.ok) throw new Error(`${started.failure.message} ${started.failure.detail ?? ""}`);
  const daemon = started.value;
  return {
    daemon,
    url: `http://127.0.0.1:${daemon.port}`,
    stop: async () => {
      await daemon.stop();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}
