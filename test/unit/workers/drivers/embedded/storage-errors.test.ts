import { readFile } from "node:fs/promises";
import { expect, test } from "vitest";
import { succeed } from "../../../../../src/protocol/storage/failures.js";
import { catchStorageErrors } from "../../../../../src/workers/drivers/embedded/storage-errors.js";

const read = async () => succeed(await readFile("/nowhere/secret/volumes/7.raw"));

test("a client sees no path of the pool's folder, and the log does", async () => {
  expect(await catchStorageErrors("cannot create 'tank/a'", read)).toEqual({
    ok: false,
    failure: {
      code: "pool.unavailable",
      message: "cannot create 'tank/a': ENOENT: no such file or directory, open '…/7.raw'",
      cause: "ENOENT: no such file or directory, open '/nowhere/secret/volumes/7.raw'",
    },
  });
});

test("the administrator sees it, for whom the message is the log", async () => {
  const opened = await catchStorageErrors("pool tank can't be opened", read, "administrator");
  expect(opened).toMatchObject({ failure: { message: expect.stringContaining("/nowhere/secret") } });
});

test("a full disk has the words of the API, and its cause for the log", async () => {
  const full = async () => {
    throw Object.assign(new Error("ENOSPC: no space left on device, write '/secret/x'"), { code: "ENOSPC" });
  };
  expect(await catchStorageErrors("cannot create 'tank/a'", full)).toMatchObject({
    failure: { message: "no space left on device", cause: expect.stringContaining("/secret/x") },
  });
});
