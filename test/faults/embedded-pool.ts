import { randomBytes } from "node:crypto";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { open } from "node:fs/promises";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { sql } from "../support/sql.js";
import { until } from "../support/until.js";
import type { SeenDataset } from "./ledger.js";
import { PARTIAL, type PoolUnderTest, type PoolView } from "./pool-under-test.js";

const NAME = "tank";
const MIB = 1024 * 1024;

interface DatasetRow {
  readonly id: number;
  readonly name: string;
  readonly type: string;
  readonly volsize: string;
  readonly file: string;
}

const DATABASE_FILES = ["", "-wal"] as const;

/** The files of a database, unless they changed while they were read. */
function readFiles(path: string): Map<string, Buffer> | undefined {
  const present = DATABASE_FILES.map((suffix) => path + suffix).filter((file) => existsSync(file));
  const states = () => present.map((file) => `${statSync(file).mtimeMs} ${statSync(file).size}`).join();
  const before = states();
  const files = new Map(present.map((file) => [file, readFileSync(file)]));
  return before === states() ? files : undefined;
}

/** Reads a database that its daemon has locked: from a copy of its files. */
export async function readDatabase<T>(path: string, statement: string): Promise<readonly T[]> {
  const folder = mkdtempSync(join(tmpdir(), "imagestore-copy-"));
  try {
    let files = readFiles(path);
    // A checkpoint may still be on its way.
    await until("the database is at rest", () => {
      files ??= readFiles(path);
      return files !== undefined;
    });
    for (const [file, bytes] of files ?? []) writeFileSync(join(folder, basename(file)), bytes);
    return (await sql(join(folder, basename(path)), statement)) as unknown as readonly T[];
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** The links below `zvol`, each with the name of its volume and the file that it leads to. */
function linksBelow(folder: string, name = ""): [name: string, file: string][] {
  return readdirSync(join(folder, name), { withFileTypes: true }).flatMap((entry) => {
    const path = name === "" ? entry.name : `${name}/${entry.name}`;
    if (entry.isDirectory()) return linksBelow(folder, path);
    return [[path, basename(readlinkSync(join(folder, path)))]];
  });
}

function differences(what: string, found: Iterable<string>, wanted: Iterable<string>): string[] {
  const [there, needed] = [new Set(found), new Set(wanted)];
  return [
    ...[...there].filter((name) => !needed.has(name)).map((name) => `${what} without a dataset: ${name}`),
    ...[...needed].filter((name) => !there.has(name)).map((name) => `${what} is missing: ${name}`),
  ];
}

/** `parent`: a folder for the pool's folder, which the caller removes. */
export function createEmbeddedPool(parent: string, settings: Record<string, unknown> = {}): PoolUnderTest {
  const folder = join(parent, "pool");
  const dataDir = join(parent, "records");
  mkdirSync(parent, { recursive: true });
  const relative = (name: string) => name.slice(NAME.length).replace(/^\//, "");
  const filesIn = (name: string) => (existsSync(join(folder, name)) ? readdirSync(join(folder, name)) : []);

  async function view(): Promise<PoolView> {
    const catalog = join(folder, "pool.db");
    const rows = await readDatabase<DatasetRow>(
      catalog,
      "SELECT id, name, type, volsize, file FROM datasets",
    );
    const holds = await readDatabase<{ tag: string }>(catalog, "SELECT tag FROM holds");
    const datasets = new Map<string, SeenDataset>();
    for (const { name, type, volsize } of rows) {
      datasets.set(relative(name), { type, sizeBytes: Number(volsize) });
    }
    const used = rows.flatMap(({ file }) => (file === "" ? [] : [file]));
    const volumes = rows.filter(({ type }) => type === "volume").map(({ name, file }) => `${name} ${file}`);
    const links = linksBelow(join(folder, "zvol")).map(([name, file]) => `${name} ${file}`);
    const recorded = await readDatabase<{ tag: string }>(
      join(dataDir, `${NAME}.db`),
      "SELECT tag FROM holds",
    );
    const leftovers = [
      ...holds.map(({ tag }) => `hold ${tag}`),
      ...recorded.map(({ tag }) => `record of hold ${tag}`),
      ...[...datasets.keys()].filter((name) => name.startsWith(PARTIAL)).map((name) => `partial ${name}`),
      ...filesIn("incoming").map((file) => `incoming file ${file}`),
      ...filesIn("lost").map((file) => `file set aside ${file}`),
      ...differences("file", filesIn("volumes"), used),
      ...differences("link", links, volumes),
    ];
    return { datasets, leftovers };
  }

  return {
    name: NAME,
    driver: "embedded",
    config: { name: NAME, driver: "embedded", folder, ...settings },
    dataDir,
    env: {},
    commandMs: 5_000,
    callLimitMs: 20_000,
    async fill(volume) {
      const path = join(folder, "zvol", NAME, volume);
      await using file = await open(path, "r+");
      await file.write(randomBytes(Math.min(MIB, statSync(path).size)));
    },
    settle: async () => {},
    view,
    remove: () => rmSync(parent, { recursive: true, force: true }),
  };
}
