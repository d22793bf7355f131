import { describe, expect, test } from "vitest";
import { parseTokenText, readResumeToken } from "../../../../../src/workers/drivers/openzfs/resume-token.js";
import type { CommandEnd } from "../../../../../src/workers/processes/run-command.js";

/** As `zfs send -nvP -t` of OpenZFS 2.3.2 prints it. */
const INCREMENT = `resume token contents:
nvlist version: 0
\tfromguid = 0x2b795f005e35782e
\tobject = 0x1
\toffset = 0x2e8000
\tbytes = 0xf0a58
\ttoguid = 0x24ef9e525f818b75
\ttoname = tank/v@c
\tcompressok = 1
incremental\ttank/v@a\ttank/v@c\t1155792
size\t1155792
`;
const READ = {
  toName: "tank/v@c",
  toGuid: "2661519981426084725",
  fromGuid: "3132639470998091822",
  flags: ["compressed"],
  bytes: 0xf0a58,
};

const reading = (stdout: string, code = 0, stderr = "") => ({
  zfs: async (args: readonly string[]): Promise<CommandEnd> => ({
    argv: ["zfs", ...args],
    stdout,
    stderr,
    exit: { kind: "exited", code },
    ms: 1,
  }),
});

describe("the token of a receiver", () => {
  test("is read, with what would be sent for it", async () => {
    const read = await readResumeToken(reading(INCREMENT), "1-a");
    const sends = { ok: true, value: { name: "tank/v@c", estimatedBytes: 1_155_792 } };
    expect(read).toEqual({ ok: true, value: { ...READ, sends } });
  });

  test("that nothing can be sent for says whose it is, and why", async () => {
    const contents = INCREMENT.replace(/^incremental.*\n.*\n/m, "");
    const read = await readResumeToken(reading(contents, 1, "cannot resume send: no longer exists\n"), "1-a");
    expect(read).toMatchObject({ ok: true, value: READ });
    expect(read).toMatchObject({ value: { sends: { ok: false, failure: { code: "request.invalid" } } } });
  });

  test("that is damaged is refused", async () => {
    const read = await readResumeToken(
      reading("", 255, "cannot resume send: resume token is corrupt\n"),
      "1-a",
    );
    expect(read).toMatchObject({ ok: false, failure: { code: "request.invalid" } });
  });

  test.each([
    ["a name with a line that looks like a member", ["toname = tank/v@c", "toname = x\n\ttoguid = 0x1"]],
    ["a name with a line that is none", ["toname = tank/v@c", "toname = x\n\t"]],
    ["an unknown member", ["compressok = 1", "redact_snaps = 1"]],
    ["a guid that is none", ["toguid = 0x24ef9e525f818b75", "toguid = 5"]],
    ["a base that is none", ["fromguid = 0x2b795f005e35782e", "fromguid = x"]],
    ["no name", ["\ttoname = tank/v@c\n", ""]],
    ["no title", ["resume token contents:", "contents:"]],
  ])("with %s is not taken", (_what, [from = "", to = ""]) => {
    expect(parseTokenText(INCREMENT)).toEqual(READ);
    expect(parseTokenText(INCREMENT.replace(from, to))).toBeUndefined();
  });
});
