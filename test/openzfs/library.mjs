// Both ways to a pool, inside the VM, by the driver alone:
//   node test/openzfs/library.mjs POOL COMPILED
// The same questions and changes go to a driver that calls libzfs_core and to one that runs commands. Their
// answers must be equal. Prints a line for each step and "library: complete" at the end; exits
// 1 on the first surprise.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { pathToFileURL } from "node:url";

const [pool = "", compiled = ""] = process.argv.slice(2);
const MIB = 1024 * 1024;
const step = (/** @type {string} */ text) =>
  console.log(`library: ${text} (${Math.round(performance.now() / 100) / 10} s)`);

/** @param {string} path */
const load = (path) => import(pathToFileURL(join(compiled, path)).href);
/** @type {typeof import("../../src/workers/drivers/openzfs/openzfs-driver.js")} */
const { openOpenZfs } = await load("workers/drivers/openzfs/openzfs-driver.js");
/** @type {typeof import("../../src/workers/processes/runner-link.js")} */
const { startRunner } = await load("workers/processes/runner-link.js");
/** @type {typeof import("../../src/workers/processes/slots.js")} */
const { createKindSlots, limitCalls, limitCommands } = await load("workers/processes/slots.js");
/** @type {typeof import("../../src/protocol/threads/child-table.js")} */
const { createChildMemory, createChildTable } = await load("protocol/threads/child-table.js");

/** @param {...string} argv */
function run(...argv) {
  const [program = "", ...args] = argv;
  const { status, stdout, stderr } = spawnSync(program, args, { encoding: "utf8" });
  assert.equal(status, 0, `${argv.join(" ")}: ${stderr}`);
  return stdout;
}

/** @type {string[]} */
const told = [];
const note = (/** @type {string} */ message, /** @type {object} */ fields) =>
  void told.push(`${message} ${JSON.stringify(fields ?? {})}`);
const log = { debug: note, info: note, warn: note, error: note };

/** A driver as the actor opens it, and the names of the calls that it made. @param {"auto" | "off"} library */
async function open(library) {
  const runner = startRunner({
    script: join(compiled, "workers/runner.js"),
    children: createChildTable(createChildMemory()),
    log,
    silentMs: 60_000,
    callThreads: 16,
  });
  const slots = createKindSlots({ read: 4, hold: 4, change: 4, destroy: 4 });
  /** @type {string[]} */
  const calls = [];
  /** @type {any} */
  const settings = {
    ...{ name: pool, driver: "openzfs", zfsCommand: ["zfs"], zpoolCommand: ["zpool"] },
    ...{ kstatCommand: [], library, dispatch: "grouped", deviceWaitMs: 0 },
  };
  const zfs = openOpenZfs(
    {
      settings,
      volumeProperties: { compression: "lz4" },
      timeoutMs: 60_000,
      log,
      call: limitCalls(slots, runner.call, ([name = ""]) => void calls.push(name)),
    },
    limitCommands(slots, runner.run, () => {}),
  );
  const checked = await zfs.checkPool();
  assert.ok(checked.ok, JSON.stringify(checked));
  return { zfs, calls, close: () => runner.close() };
}

run("zfs", "create", "-p", `${pool}/guests`);
const byCalls = await open("auto");
assert.deepEqual(byCalls.calls, ["lzc_channel_program_nosync"], told.join("\n"));
const byCommands = await open("off");
step("both ways are open");
const ways = [byCalls, byCommands];

/** A name below the pool that is checked. @param {string} name @returns {any} */
const at = (name) => `${pool}/${name}`;
const text = (/** @type {unknown} */ value) =>
  JSON.stringify(value, (_, inner) => (typeof inner === "bigint" ? `${inner}n` : inner), 1);

/** An outcome, without the words that only the log gets, and with one name for what each way has of its own. */
const shown = (/** @type {any} */ outcome) =>
  text(
    outcome.ok
      ? outcome
      : { ...outcome, failure: { ...outcome.failure, cause: undefined, detail: undefined } },
  ).replaceAll(/(guests\/way|secret\/.)\d/g, "$1");

/** Asks both ways the same. @template T @param {string} what @param {(zfs: import("../../src/workers/drivers/driver.js").Zfs) => Promise<T>} ask */
async function same(what, ask) {
  const [first, second] = [await ask(byCalls.zfs), await ask(byCommands.zfs)];
  assert.equal(shown(first), shown(second), what);
  return first;
}

/**
 * Makes the same change on both ways, each in a folder of its own.
 * @param {string} what @param {"done" | "refused"} end
 * @param {(zfs: import("../../src/workers/drivers/driver.js").Zfs, root: string) => Promise<{ ok: boolean }>} change
 */
async function change(what, end, change) {
  const commandsBefore = byCalls.zfs.commandsRun;
  const [first, second] = [
    await change(byCalls.zfs, "guests/way0"),
    await change(byCommands.zfs, "guests/way1"),
  ];
  assert.equal(shown(first), shown(second), what);
  assert.equal(first.ok, end === "done", `${what}: ${shown(first)}`);
  if (end === "done") assert.equal(byCalls.zfs.commandsRun, commandsBefore, `${what} runs no command`);
}

// Look-ups of everything that a pool may have.
run("zfs", "create", at("odd"));
run("zfs", "create", "-V", "8M", at("odd/thick"));
run("zfs", "create", "-s", "-V", "8M", "-o", "volblocksize=4k", at("odd/with space:and.dots_-x"));
run("zfs", "snapshot", "-r", at("odd@first"));
run("zfs", "set", "volsize=16M", at("odd/thick"));
run("zfs", "clone", at("odd/thick@first"), at("odd/clone"));
run("zfs", "clone", at("odd/thick@first"), at("odd/promoted"));
run("zfs", "snapshot", at("odd/promoted@second"));
run("zfs", "promote", at("odd/promoted"));
run("zfs", "bookmark", at("odd/promoted@second"), at("odd/promoted#mark"));
run("sh", "-c", `zfs send ${at("odd/promoted@second")} | zfs receive -u ${at("odd/received")}`);
run("sh", "-c", `echo 12345678 | zfs create -o encryption=on -o keyformat=passphrase ${at("odd/secret")}`);
run("zfs", "create", "-s", "-V", "8M", at("odd/secret/volume"));
run("zfs", "snapshot", at("odd/secret/volume@s"));
run("zfs", "unload-key", "-r", at("odd/secret"));
const all = run("zfs", "list", "-Hr", "-t", "filesystem,volume,snapshot", "-o", "name", pool)
  .trim()
  .split("\n");
assert.ok(all.length > 15);
const missing = ["odd/none", "odd@none", "odd/none@none", "odd/thick/below", "none/none"].map(at);
for (const name of [...all, ...missing]) {
  await same(name, (zfs) => zfs.find(/** @type {any} */ (name)));
  await same(`the size of ${name}`, (zfs) => zfs.findSize(/** @type {any} */ (name)));
}
for (const tag of ["odd@first", "odd@second", "odd@none", "odd/secret@first", "none@first"]) {
  await same(`the snapshots ${tag}`, (zfs) => zfs.snapshotsOfTag(at(tag)));
}
// What is asked of a volume while it is sent or received.
for (const part of ["thick", "clone", "promoted", "received", "secret/volume", "none"]) {
  const name = `odd/${part}`;
  await same(`the snapshots of ${name}`, (zfs) => zfs.snapshotsOf(at(name)));
  await same(`whether ${name} is read-only`, (zfs) => zfs.isReadonly(at(name)));
  await same(`the token of ${name}`, (zfs) => zfs.receiveToken(at(name)));
}
assert.deepEqual(await byCalls.zfs.isReadonly(at("odd/thick")), { ok: true, value: false });
run("zfs", "set", "readonly=on", at("odd/thick"));
await same("whether a closed volume is read-only", (zfs) => zfs.isReadonly(at("odd/thick")));
for (const tag of ["n1", "n0"]) run("zfs", "snapshot", at(`odd/clone@${tag}`));
const commandsOfLooks = byCalls.zfs.commandsRun;
for (const ask of ["snapshotsOf", "isReadonly", "receiveToken"]) await byCalls.zfs[ask](at("odd/clone"));
await byCalls.zfs.findBase(at("odd/clone@n0"), { from: at("odd/clone@n1") });
assert.equal(byCalls.zfs.commandsRun, commandsOfLooks, "looks at a volume run no command");
await same("snapshots that are older than their names", (zfs) => zfs.snapshotsOf(at("odd/clone")));
for (let index = 0; index < 18; index++) run("zfs", "snapshot", at(`odd/clone@m${index}`));
for (const name of ["odd/clone", "odd/promoted"]) {
  const listed = await same(`more snapshots of ${name}`, (zfs) => zfs.snapshotsOf(at(name)));
  assert.equal(listed.ok && listed.value.length, name === "odd/clone" ? 20 : 2);
}
for (const [name = "", from = ""] of [
  ["odd/clone@n0", "odd/clone@n1"],
  ["odd/clone@n1", "odd/clone@n0"],
  ["odd/promoted@second", "odd/promoted#mark"],
  ["odd/clone@n0", "odd/clone@none"],
  ["odd/clone@none", "odd/clone@n0"],
]) {
  await same(`${from} for ${name}`, (zfs) => zfs.findBase(at(name), { from: at(from) }));
}
const broken = at("odd/broken");
run("sh", "-c", `zfs send ${at("odd/promoted@second")} | head -c 3000 | zfs receive -s -u ${broken} || true`);
run("sh", "-c", `dd if=/dev/urandom of=/dev/zvol/${at("odd/clone")} bs=1M count=4 conv=fsync 2>/dev/null`);
run("zfs", "snapshot", at("odd/clone@large"));
const grown = at("odd/grown");
run("sh", "-c", `zfs send ${at("odd/clone@n0")} | zfs receive -u ${grown}`);
const increment = `zfs send -i @n0 ${at("odd/clone@large")}`;
run("sh", "-c", `${increment} | head -c 2000000 | zfs receive -s -u ${grown} || true`);
for (const name of [broken, grown]) {
  const token = await same(`the token of ${name}`, (zfs) => zfs.receiveToken(name));
  if (name !== broken) assert.match((token.ok && token.value) || "", /^1-/);
}
const many = Array.from({ length: 700 }, (_, index) => at(`odd/none-${index}-${"x".repeat(180)}`));
const commandsBefore = byCalls.zfs.commandsRun;
for (const found of await Promise.all(many.map((name) => byCalls.zfs.find(name)))) {
  assert.deepEqual(found, { ok: true, value: undefined });
}
assert.equal(byCalls.zfs.commandsRun, commandsBefore, "look-ups run no command");
step(`${all.length + missing.length} look-ups have the same answers`);

// Snapshots, holds, rollbacks, destroys.
for (const way of [0, 1]) run("zfs", "create", "-p", "-s", "-V", "8M", at(`guests/way${way}/disk`));
await change("a snapshot", "done", (zfs, root) => zfs.snapshot(at(`${root}/disk@s1`), false, NO_COPIES()));
await change("a snapshot again", "refused", (zfs, root) =>
  zfs.snapshot(at(`${root}/disk@s1`), false, NO_COPIES()),
);
await change("of nothing", "refused", (zfs, root) => zfs.snapshot(at(`${root}/none@s1`), false, NO_COPIES()));
await change("another snapshot", "done", (zfs, root) =>
  zfs.snapshot(at(`${root}/disk@s2`), false, NO_COPIES()),
);
await change("a hold", "done", (zfs, root) => zfs.hold("imagestore:t", at(`${root}/disk@s2`)));
await change("a hold again", "refused", (zfs, root) => zfs.hold("imagestore:t", at(`${root}/disk@s2`)));
await change("a hold of nothing", "refused", (zfs, root) => zfs.hold("imagestore:t", at(`${root}/disk@s3`)));
await change("a destroy of a held one", "refused", (zfs, root) => zfs.destroy(at(`${root}/disk@s2`), false));
await change("a release", "done", (zfs, root) => zfs.release("imagestore:t", at(`${root}/disk@s2`)));
assert.equal(
  shown(await byCalls.zfs.release("imagestore:t", at("guests/way0/disk@s2"))),
  shown({ ok: true, value: false }),
);
await change("a rollback beyond a newer one", "refused", (zfs, root) =>
  zfs.rollback(at(`${root}/disk@s1`), false, NO_COPIES()),
);
await change("a rollback", "done", (zfs, root) => zfs.rollback(at(`${root}/disk@s2`), false, NO_COPIES()));
for (const way of [0, 1]) run("zfs", "clone", at(`guests/way${way}/disk@s1`), at(`guests/way${way}/clone`));
await change("a destroy of a cloned one", "refused", (zfs, root) =>
  zfs.destroy(at(`${root}/disk@s1`), false),
);
await change("a destroy", "done", (zfs, root) => zfs.destroy(at(`${root}/disk@s2`), false));
await change("a destroy of nothing", "refused", (zfs, root) => zfs.destroy(at(`${root}/disk@s2`), false));
step("snapshots, holds, rollbacks and destroys have the same ends");

// What waits together shares a call, and one that fails hides no other.
byCalls.calls.splice(0);
const tags = Array.from({ length: 30 }, (_, index) => index);
for (const tag of tags) run("zfs", "create", "-s", "-V", "8M", at(`guests/way0/m${tag}`));
const names = tags.map((tag) => at(`guests/way0/m${tag}@x`));
for (const made of await Promise.all(names.map((name) => byCalls.zfs.snapshot(name, false, NO_COPIES())))) {
  assert.equal(made.ok, true);
}
const held = await Promise.all(names.map((name) => byCalls.zfs.hold("imagestore:m", name)));
assert.ok(held.every(({ ok }) => ok));
const released = await Promise.all(names.slice(1).map((name) => byCalls.zfs.release("imagestore:m", name)));
assert.ok(released.every(({ ok }) => ok));
const destroyed = await Promise.all(names.map((name) => byCalls.zfs.destroy(name, false)));
assert.deepEqual(
  destroyed.map(({ ok }) => ok),
  names.map((_, index) => index > 0),
);
assert.match(text(destroyed[0]), /snapshot\.held/);
assert.ok(byCalls.calls.length < 20, byCalls.calls.join(" "));
step(`${4 * names.length} changes took ${byCalls.calls.length} calls`);

byCalls.calls.splice(0);
const again = await Promise.all(
  tags.map((tag) => byCalls.zfs.snapshot(at(`guests/way0/m${tag}@y`), false, NO_COPIES())),
);
assert.ok(again.every(({ ok }) => ok));
assert.ok(byCalls.calls.length <= 2, byCalls.calls.join(" "));
const groups = run("zfs", "list", "-Hpr", "-t", "snapshot", "-o", "createtxg,name", at("guests/way0"));
assert.ok(
  new Set(groups.split("\n").flatMap((line) => (line.endsWith("@y") ? [line.split("\t")[0]] : []))).size <= 2,
);
byCalls.calls.splice(0);
await Promise.all(tags.map((tag) => byCalls.zfs.findSize(at(`guests/way0/m${tag}@y`))));
assert.ok(byCalls.calls.length <= 2, byCalls.calls.join(" "));
step("snapshots that wait together share two transaction groups, and look-ups two calls");

// Renames, promotions, and snapshots of trees.
/** What is below each way's folder `tree`, with the sizes of snapshots. @param {...string} columns */
const trees = (...columns) =>
  [0, 1].map((way) =>
    run(
      "zfs",
      "list",
      "-Hpr",
      "-t",
      "all",
      "-o",
      ["name", ...columns].join(),
      at(`guests/way${way}/tree`),
    ).replaceAll(/guests\/way\d/g, "guests/way"),
  );
for (const way of [0, 1]) {
  for (const name of ["a", "b/c", "b-c"])
    run("zfs", "create", "-p", "-s", "-V", "8M", at(`guests/way${way}/tree/${name}`));
  const random = `head -c 3000000 /dev/urandom`;
  const [volume, partial] = [at(`guests/way${way}/source`), at(`guests/way${way}/tree/partial`)];
  run("zfs", "create", "-s", "-V", "8M", volume);
  run(
    "sh",
    "-c",
    `until [ -b /dev/zvol/${volume} ]; do sleep 0.1; done; ${random} >/dev/zvol/${volume}; sync`,
  );
  run("zfs", "snapshot", `${volume}@s`);
  run(
    "sh",
    "-c",
    `zfs send ${volume}@s | head -c 2000000 | zfs receive -s -u ${partial} 2>/dev/null || true`,
  );
  assert.match(run("zfs", "get", "-Ho", "value", "receive_resume_token", partial), /^1-/);
}
await change("snapshots of a tree", "done", (zfs, root) =>
  zfs.snapshot(at(`${root}/tree@r`), true, NO_COPIES()),
);
await change("of which one is there", "refused", (zfs, root) =>
  zfs.snapshot(at(`${root}/tree@r`), true, NO_COPIES()),
);
await change("the snapshots of a tag", "done", (zfs, root) => zfs.snapshotsOfTag(at(`${root}/tree@r`)));
for (const way of [0, 1]) run("zfs", "snapshot", at(`guests/way${way}/tree/b/c@other`));
await change("of which one below is there", "refused", (zfs, root) =>
  zfs.snapshot(at(`${root}/tree@other`), true, NO_COPIES()),
);
await change("of no tree", "refused", (zfs, root) => zfs.snapshot(at(`${root}/none@r`), true, NO_COPIES()));
const [ours, theirs] = trees("written");
assert.equal(ours, theirs);
assert.equal(ours?.match(/@r\t/g)?.length, 5, ours);
const made = run("zfs", "list", "-Hpr", "-t", "snapshot", "-o", "createtxg,name", at("guests/way0/tree"));
assert.equal(
  new Set(made.split("\n").flatMap((line) => (line.endsWith("@r") ? [line.split("\t")[0]] : []))).size,
  1,
);
for (const way of [0, 1]) run("zfs", "hold", "other", at(`guests/way${way}/tree/a@r`));
await change("a destroy of a tag with a hold", "refused", (zfs, root) =>
  zfs.destroy(at(`${root}/tree@r`), true),
);
for (const way of [0, 1]) run("zfs", "release", "other", at(`guests/way${way}/tree/a@r`));
await change("a destroy of a tag", "done", (zfs, root) => zfs.destroy(at(`${root}/tree@r`), true));
await change("a destroy of no tag", "refused", (zfs, root) => zfs.destroy(at(`${root}/tree@r`), true));

await change("a rename", "done", (zfs, root) => zfs.rename(at(`${root}/tree/a`), at(`${root}/tree/z`)));
await change("a rename of nothing", "refused", (zfs, root) =>
  zfs.rename(at(`${root}/tree/a`), at(`${root}/tree/no/parents`), true),
);
await change("a rename with parents", "done", (zfs, root) =>
  zfs.rename(at(`${root}/tree/b/c`), at(`${root}/tree/new/er/c`), true),
);
await change("a rename without its parent", "refused", (zfs, root) =>
  zfs.rename(at(`${root}/tree/z`), at(`${root}/tree/none/z`)),
);
await change("a rename to a name that is taken", "refused", (zfs, root) =>
  zfs.rename(at(`${root}/tree/z`), at(`${root}/tree/b-c`), true),
);
await change("a rename below a volume", "refused", (zfs, root) =>
  zfs.rename(at(`${root}/tree/z`), at(`${root}/tree/b-c/z`), true),
);
await change("a rename below itself", "refused", (zfs, root) =>
  zfs.rename(at(`${root}/tree/z`), at(`${root}/tree/z/z`), true),
);
for (const way of [0, 1]) {
  run("zfs", "snapshot", at(`guests/way${way}/tree/z@p`));
  run("zfs", "clone", at(`guests/way${way}/tree/z@p`), at(`guests/way${way}/tree/clone`));
}
await change("a promotion", "done", (zfs, root) => zfs.promote(at(`${root}/tree/clone`)));
await change("a promotion of no clone", "refused", (zfs, root) => zfs.promote(at(`${root}/tree/clone`)));
await change("a promotion of nothing", "refused", (zfs, root) => zfs.promote(at(`${root}/tree/none`)));
for (const way of [0, 1]) run("zfs", "snapshot", at(`guests/way${way}/tree/z@p`));
await change("a promotion where a name is taken", "refused", (zfs, root) =>
  zfs.promote(at(`${root}/tree/z`)),
);
const [renamed, byHand] = trees("origin", "volsize", "refreservation", "receive_resume_token");
assert.equal(renamed?.replaceAll(/\t1-\S+/g, ""), byHand?.replaceAll(/\t1-\S+/g, ""));
step("renames, promotions and snapshots of trees have the same ends");

// Volumes and clones with their parents, and all their properties.
/** Every property of what is below a folder, but for times, names and counters. @param {string} folder */
const propertiesBelow = (folder) =>
  run("zfs", "get", "-Hpr", "-o", "name,property,value,source", "all", at(folder))
    .replaceAll(/guests\/way\d/g, "guests/way")
    .split("\n")
    .filter(
      (line) =>
        !/\t(?:creation|guid|createtxg|objsetid|snapshots_changed|.*used.*|available|clones)\t/.test(line),
    );
/** @type {any} */
const origin = at("odd/promoted@first");
for (const size of [1, 3, 8, 1000, 4096, 1_048_576]) {
  const bytes = /** @type {any} */ (BigInt(size * MIB));
  // Both may be refused, for want of room, in the same words.
  const end = size < 4096 ? "done" : "refused";
  await change(`a volume of ${size} MiB`, end, (zfs, root) =>
    zfs.createVolume(at(`${root}/new/v${size}/disk`), bytes),
  );
}
await change("a clone", "done", (zfs, root) =>
  zfs.clone(origin, at(`${root}/clones/deep/er/disk`), NO_COPIES()),
);
await change("a clone of nothing", "refused", (zfs, root) =>
  zfs.clone(at("odd/promoted@no"), at(`${root}/no/parents`), NO_COPIES()),
);
await change("a clone below a volume", "refused", (zfs, root) =>
  zfs.clone(origin, at(`${root}/new/v1/disk/below`), NO_COPIES()),
);
await change("a clone into a locked parent", "done", (zfs, root) =>
  zfs.clone(origin, at(`odd/secret/v${root.at(-1)}`), NO_COPIES()),
);
await change("a volume in a locked parent", "refused", (zfs, root) =>
  zfs.createVolume(at(`odd/secret/w${root.at(-1)}`), /** @type {any} */ (BigInt(8 * MIB))),
);
for (const folder of ["new", "clones"]) {
  assert.deepEqual(propertiesBelow(`guests/way0/${folder}`), propertiesBelow(`guests/way1/${folder}`));
}
assert.ok(propertiesBelow("guests/way0/new").length > 200);
await same("a volume again, without a failure", (zfs) =>
  zfs.createVolume(at("guests/way0/new/v3/disk"), /** @type {any} */ (BigInt(5 * MIB))),
);
run("zfs", "set", `mountpoint=/${pool}-mounted`, at("odd"));
const mounted = await byCalls.zfs.clone(origin, at("odd/seen/disk"), NO_COPIES());
assert.ok(mounted.ok);
assert.match(run("zfs", "get", "-Ho", "value", "mounted", at("odd/seen")), /yes/, "zfs mounts its parent");
// What was destroyed is freed bit by bit.
const spaces = await Promise.all(ways.map(({ zfs }) => zfs.space(at("guests"))));
const [first, second] = spaces.map((space) => (space.ok ? space.value : assert.fail(text(space))));
assert.equal(first?.promised, second?.promised);
assert.ok(Math.abs(Number(first?.available) - Number(second?.available)) < MIB);
step("volumes and clones have the same properties");

// Trees.
run("zfs", "snapshot", "-r", at("guests/way0/new@t"));
run("zfs", "snapshot", "-r", at("guests/way1/new@t"));
await change("a destroy of a tree", "done", (zfs, root) => zfs.destroy(at(`${root}/new`), true));
await change("a destroy of no tree", "refused", (zfs, root) => zfs.destroy(at(`${root}/new`), true));
for (const way of [0, 1]) {
  run("zfs", "snapshot", at(`guests/way${way}/clones/deep/er/disk@c`));
  run("zfs", "clone", at(`guests/way${way}/clones/deep/er/disk@c`), at(`guests/way${way}/apart`));
}
await change("a destroy of a tree with a clone elsewhere", "refused", (zfs, root) =>
  zfs.destroy(at(`${root}/clones`), true),
);
for (const way of [0, 1]) run("zfs", "destroy", at(`guests/way${way}/apart`));
for (const way of [0, 1]) run("zfs", "hold", "other", at(`guests/way${way}/clones/deep/er/disk@c`));
await change("a destroy of a tree with a hold", "refused", (zfs, root) =>
  zfs.destroy(at(`${root}/clones`), true),
);
for (const way of [0, 1]) run("zfs", "release", "other", at(`guests/way${way}/clones/deep/er/disk@c`));
await change("a destroy of that tree", "done", (zfs, root) => zfs.destroy(at(`${root}/clones`), true));
step("trees are destroyed with the same ends");

function NO_COPIES() {
  return { take: () => undefined, discard: async () => {} };
}

for (const { close } of ways) await close();
step("complete");
