import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { connect, createServer, type Socket } from "node:net";
import { describe, expect, onTestFinished, test } from "vitest";
import { countSentBytes, type KnownEnds, writtenIn } from "../../../../src/workers/streams/sent-bytes.js";
import { hasSs } from "../../../support/socket-statistics.js";

const ENDS = "[::1]:43349 [::1]:44670 cubic wscale:10,10 rto:204";

test.each([
  ["all is confirmed", `0      0      ${ENDS} bytes_sent:700 bytes_acked:700 segs_out:4`, 700],
  ["some was sent again", `0 0 ${ENDS} bytes_sent:900 bytes_retrans:200 bytes_acked:700 retrans:0/1`, 700],
  ["some is on its way", `0 300 ${ENDS} bytes_sent:700 bytes_acked:400 unacked:1`, 700],
  ["some was not sent", `0 300 ${ENDS} bytes_sent:600 bytes_acked:400 unacked:1 notsent:100`, 700],
  ["nothing was confirmed", `0 700 ${ENDS} bytes_sent:700 unacked:1`, 700],
  ["bytes are confirmed while it is written", `0 300 ${ENDS} bytes_sent:700 bytes_acked:450`, undefined],
  [
    "a packet could not be sent again",
    `0 0 ${ENDS} bytes_sent:700 bytes_retrans:9 bytes_acked:700`,
    undefined,
  ],
  ["the connection is gone", "", undefined],
  ["an old ss tells no counters", `0 0 ${ENDS} rtt:5`, undefined],
  [
    "there are two",
    `0 0 ${ENDS} bytes_sent:7 bytes_acked:7\n0 0 ${ENDS} bytes_sent:7 bytes_acked:7`,
    undefined,
  ],
])("where %s", (_, text, expected) => {
  expect(writtenIn(text)).toBe(expected);
});

/** A connection that a process of its own writes to, and both of its ends. */
async function connection(host: string): Promise<{ own: Socket; client: Socket; ends: KnownEnds }> {
  const server = createServer({ allowHalfOpen: true });
  server.listen(0, host);
  await once(server, "listening");
  const address = server.address();
  const port = typeof address === "object" && address ? address.port : 0;
  const accepted: Promise<Socket[]> = once(server, "connection");
  const client = connect(port, host);
  const [own] = await accepted;
  onTestFinished(() => {
    client.destroy();
    own?.destroy();
    server.close();
  });
  const { localAddress, localPort, remoteAddress, remotePort } = own ?? {};
  if (!own || !localAddress || !localPort || !remoteAddress || !remotePort) throw new Error("not connected");
  return { own, client, ends: { localAddress, localPort, remoteAddress, remotePort } };
}

const exitOf = (child: ChildProcess) => once(child, "exit");

const reason = hasSs() ? undefined : "no ss is installed (Debian: iproute2)";
if (reason !== undefined) process.stdout.write(`sent bytes: skipped, ${reason}\n`);

describe.skipIf(reason !== undefined)("what was written to a connection", () => {
  test.each(["127.0.0.1", "::1", "::ffff:127.0.0.1"])(
    "by processes, to %s, is counted to the byte",
    async (host) => {
      const { own, client, ends } = await connection(host);
      let received = 0;
      client.on("data", (chunk) => {
        received += chunk.length;
      });
      const sizes = [1, 70_001, 5_000_011];
      for (const size of sizes) {
        await exitOf(spawn("head", ["-c", String(size), "/dev/zero"], { stdio: ["ignore", own, "inherit"] }));
      }
      const all = sizes.reduce((sum, size) => sum + size, 0);
      expect(await countSentBytes(ends)).toBe(all);
      own.end();
      await once(client, "end");
      expect(received).toBe(all);
    },
  );

  test("and a client has not taken is counted too", async () => {
    const { own, client, ends } = await connection("127.0.0.1");
    client.pause();
    const size = 200_000;
    await exitOf(spawn("head", ["-c", String(size), "/dev/zero"], { stdio: ["ignore", own, "inherit"] }));
    expect(await countSentBytes(ends)).toBe(size);
  });

  test("is not told of one that is gone", async () => {
    const { own, client, ends } = await connection("127.0.0.1");
    client.destroy();
    own.resume();
    await once(own, "end");
    expect(await countSentBytes(ends)).toBeUndefined();
  });
});
