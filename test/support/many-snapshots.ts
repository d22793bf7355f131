import { join } from "node:path";
import { startDaemonProcess } from "./daemon.js";
import { must } from "./rpc.js";
import { sql } from "./sql.js";

/**
 * Makes an embedded pool `tank` in `folder` with `count` snapshots, `tank/v@copy-1` and so on. They
 * are rows of its catalog that share the file of one empty snapshot: calls would take minutes.
 */
export async function makeManySnapshots(folder: string, count: number): Promise<void> {
  const daemon = await startDaemonProcess({
    listen: { port: 0 },
    pools: [{ name: "tank", driver: "embedded", folder }],
  });
  await must(daemon.url, "CreateVolume", { id: "v", size: 1 });
  await must(daemon.url, "CreateSnapshot", { id: "v", dest: "s" });
  await daemon.stop();
  const path = join(folder, "pool.db");
  const columns = (await sql(path, "PRAGMA table_info(datasets)")).map(({ name }) => String(name));
  const own: Readonly<Record<string, string>> = {
    id: "last.id + n",
    name: "'tank/v@copy-' || n",
    guid: "'1' || (100000000 + n)",
    createtxg: "last.txg + n",
  };
  if (!Object.keys(own).every((column) => columns.includes(column))) throw new Error(columns.join());
  await sql(
    path,
    `WITH RECURSIVE numbers(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < ?1)
      INSERT INTO datasets (${columns}) SELECT ${columns.map((column) => own[column] ?? `datasets.${column}`)}
      FROM numbers, datasets, (SELECT max(id) AS id, max(createtxg) AS txg FROM datasets) AS last
      WHERE datasets.name = 'tank/v@s'`,
    count - 1,
  );
}
