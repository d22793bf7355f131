import { openSqlite } from "../../src/workers/sqlite/open-sqlite.js";

/** An Image as the original stores it, in JSON. */
export function originalImage(id: string, changes: Record<string, unknown> = {}): string {
  return JSON.stringify({
    id,
    type: "kvm",
    volume: `tank/images/${id}`,
    snapshot: `tank/images/${id}@s`,
    size: 8,
    status: "complete",
    ...changes,
  });
}

/** Writes a database with the tables of the original. */
export async function writeOriginal(
  path: string,
  rows: readonly (readonly [key: string, value: string, as?: "text" | "blob"])[],
): Promise<void> {
  const database = await openSqlite(path);
  await database.run(
    `CREATE TABLE "mistify-agent-image" (key TEXT NOT NULL, bucket TEXT NOT NULL, value BLOB, PRIMARY KEY (bucket, key))`,
  );
  for (const [key, value, as] of rows) {
    const expression = as === "blob" ? "CAST(? AS BLOB)" : "?";
    await database.run(`INSERT INTO "mistify-agent-image" VALUES (?, 'images', ${expression})`, key, value);
  }
  await database.close();
}
