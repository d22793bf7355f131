// The whole round, run inside the VM beside real /dev/zvol devices:
//   node test/openzfs/round.mjs POOL CLI
// create a volume, write to its device, snapshot, download with curl, serve that file as
// an image, RequestImage, CreateGuestDisks, read the guest's device, roll back, delete all.
// Prints a line for each step and "round: complete" at the end; exits 1 on the first surprise.
import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { createHash, randomBytes } from "node:crypto";
import {
  closeSync,
  createReadStream,
  fsyncSync,
  mkdtempSync,
  openSync,
  readSync,
  statSync,
  writeSync,
} from "node:fs";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";

const [pool, cli] = process.argv.slice(2);
const PORT = 19999;
const IMAGE_PORT = 19998;
const MIB = 1024 * 1024;
const SIZE_MIB = 16;
const folder = mkdtempSync(join(tmpdir(), "round-"));
const step = (text) => console.log(`round: ${text} (${Math.round(performance.now() / 100) / 10} s)`);
const sha256 = (bytes) => createHash("sha256").update(bytes).digest("hex");

function run(program, ...args) {
  const { status, stdout, stderr } = spawnSync(program, args, { encoding: "utf8" });
  assert.equal(status, 0, `${program} ${args.join(" ")}: ${stderr}`);
  return stdout;
}

async function call(method, params) {
  const response = await fetch(`http://127.0.0.1:${PORT}/_mistify_RPC_`, {
    method: "POST",
    // A connection of its own: this script blocks for longer than a server keeps idle ones.
    headers: { "content-type": "application/json", connection: "close" },
    body: JSON.stringify({ method: `ImageStore.${method}`, params: [params], id: 1 }),
  });
  assert.equal(response.status, 200, `${method}: HTTP status`);
  return response.json();
}

async function must(method, params) {
  const { result, error } = await call(method, params);
  assert.equal(error, null, `${method} ${JSON.stringify(params)}`);
  return result;
}

function writeDevice(device, bytes) {
  const fd = openSync(device, "r+");
  writeSync(fd, bytes, 0, bytes.length, 0);
  fsyncSync(fd);
  closeSync(fd);
}

function readDevice(device, length) {
  const fd = openSync(device, "r");
  const bytes = Buffer.alloc(length);
  assert.equal(readSync(fd, bytes, 0, length, 0), length);
  closeSync(fd);
  return bytes;
}

const daemon = spawn(
  process.execPath,
  [cli, "serve", "-z", pool, "-p", String(PORT), "-i", `127.0.0.1:${IMAGE_PORT}`, "-d", join(folder, "data")],
  { stdio: ["ignore", "pipe", "inherit"] },
);
const exited = new Promise((resolve) => daemon.once("exit", resolve));
let images;
try {
  await Promise.race([
    new Promise((resolve) => daemon.stdout.once("data", resolve)),
    exited.then((status) => assert.fail(`the daemon ended with status ${status}`)),
  ]);
  step("the daemon listens");

  const { volumes } = await must("CreateVolume", { id: "guests/seed/disk", size: SIZE_MIB });
  const { device } = volumes[0];
  assert.equal(device, `/dev/zvol/${pool}/guests/seed/disk`);
  assert.ok(statSync(device).isBlockDevice(), "the answer came when the device was there");
  const data = randomBytes(2 * MIB);
  writeDevice(device, data);
  const { snapshots } = await must("CreateSnapshot", { id: "guests/seed/disk", dest: "golden" });
  assert.ok(snapshots[0].size >= 2, "the snapshot holds what was written");
  step("a volume was written and snapshotted");

  const file = join(folder, "golden.zfs");
  run("curl", "-sSf", "-o", file, `http://127.0.0.1:${PORT}/snapshots/download?id=guests/seed/disk@golden`);
  const sent = spawnSync("zfs", ["send", `${pool}/guests/seed/disk@golden`], { maxBuffer: 64 * MIB });
  assert.equal(
    sha256(run("sha256sum", file).split(" ")[0]),
    sha256(sha256(sent.stdout)),
    "curl got what zfs sends",
  );
  step(`curl downloaded ${statSync(file).size} bytes, the same as zfs send`);

  images = createServer((_request, response) => createReadStream(file).pipe(response));
  await new Promise((resolve) => images.listen(IMAGE_PORT, "127.0.0.1", resolve));
  const requested = await must("RequestImage", { id: "golden", type: "kvm" });
  assert.deepEqual(requested.images, [
    {
      id: "golden",
      type: "kvm",
      volume: `${pool}/images/golden`,
      snapshot: `${pool}/images/golden@golden`,
      size: SIZE_MIB,
      status: "complete",
    },
  ]);
  step("the file was taken in as an image");

  const guest = {
    id: "g1",
    disks: [
      { bus: "virtio", image: "golden" },
      { bus: "virtio", size: 8 },
    ],
  };
  const created = (await must("CreateGuestDisks", { guest })).guest;
  assert.equal(created.disks[0].source, `/dev/zvol/${pool}/guests/g1/disk-0`);
  assert.equal(created.disks[0].size, SIZE_MIB);
  assert.ok(
    readDevice(created.disks[0].source, data.length).equals(data),
    "the guest sees the image's bytes",
  );
  assert.ok(statSync(created.disks[1].source).isBlockDevice());
  step("the guest's disk holds the bytes that were written");

  const disk = `${pool}/guests/g1/disk-0`;
  await must("CreateSnapshot", { id: disk, dest: "before" });
  writeDevice(created.disks[0].source, randomBytes(2 * MIB));
  assert.ok(!readDevice(created.disks[0].source, data.length).equals(data));
  await must("RollbackSnapshot", { id: `${disk}@before` });
  assert.ok(readDevice(created.disks[0].source, data.length).equals(data), "rolled back");
  step("a rollback brought the bytes back");

  const refused = await call("DeleteImage", { id: "golden" });
  assert.match(refused.error, /has clones: .*guests\/g1\/disk-0/);
  await must("DeleteGuestsDisks", { guest: { id: "g1" } });
  await must("DeleteImage", { id: "golden" });
  await must("DeleteDataset", { id: "guests/seed" });
  const left = run("zfs", "list", "-Hr", "-t", "all", "-o", "name", pool).trim().split("\n");
  assert.deepEqual(left, [pool, `${pool}/guests`, `${pool}/images`]);
  assert.deepEqual((await must("ListImages", {})).images, null);
  step("everything was deleted");

  daemon.kill("SIGTERM");
  assert.equal(await exited, 0, "SIGTERM ends the daemon with status 0");
  step("complete");
} finally {
  daemon.kill("SIGKILL");
  images?.close();
  images?.closeAllConnections();
}
