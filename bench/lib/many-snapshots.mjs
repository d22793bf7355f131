// @ts-check
import { join } from "node:path";
import { startDaemon } from "./daemon.mjs";
import { must } from "./http-client.mjs";
import { openFolder } from "./process.mjs";

const VOLUMES = 10;

/** The snapshot that is created by a call. All others are copies of its row. */
export const SNAPSHOT = "guests/g0/disk@s";

/**
 * Starts a daemon on an embedded pool with `count` snapshots. They are rows of its catalog
 * (src/workers/drivers/embedded/catalog.ts) that share the file of one empty snapshot. To create 100,000 by
 * calls would take minutes, and the cost of a look-up doesn't depend on the files.
 * @param {import("./releasers.mjs").Releasers} releasers @param {number} count
 */
export async function startWithSnapshots(releasers, count) {
  const folder = join(openFolder(releasers), "pool");
  const config = { pools: [{ name: "bench", driver: "embedded", folder }] };
  const first = await startDaemon(releasers, config);
  for (let index = 0; index < VOLUMES; index++) {
    await must(first.port, "CreateVolume", { id: `guests/g${index}/disk`, size: 8 });
  }
  const [id, dest] = SNAPSHOT.split("@");
  await must(first.port, "CreateSnapshot", { id, dest });
  await first.stop();
  await insertCopies(join(folder, "pool.db"), count - 1);
  const startedAt = performance.now();
  const daemon = await startDaemon(releasers, config);
  return { daemon, startMs: performance.now() - startedAt };
}

const COPIES = `
  WITH RECURSIVE numbers(n) AS (SELECT 1 WHERE ?1 > 0 UNION ALL SELECT n + 1 FROM numbers WHERE n < ?1)
  INSERT INTO datasets SELECT
    last.id + n, 'bench/guests/g' || (n % ${VOLUMES}) || '/disk@copy-' || n, type, '1' || (100000000 + n),
    last.txg + n, created, volsize, volblocksize, written, file, held, reserved, readonly, origin, properties
  FROM numbers, datasets, (SELECT max(id) AS id, max(createtxg) AS txg FROM datasets) AS last
  WHERE name = 'bench/${SNAPSHOT}'`;

/** @param {string} path @param {number} count */
async function insertCopies(path, count) {
  /** @type {typeof import("../../src/workers/sqlite/open-sqlite.js")} */
  const { openSqlite } = await import(
    new URL("../../compiled/workers/sqlite/open-sqlite.js", import.meta.url).href
  );
  const database = await openSqlite(path);
  await database.run(COPIES, count);
  await database.close();
}
