import { spawnSync } from "node:child_process";
import { expect, test } from "vitest";

/** For how long a kernel answers for a client that has gone, in the network of this test; else it is 60 s. */
const FIN_TIMEOUT_S = 2;
const NETWORK = `ip link set lo up; echo ${FIN_TIMEOUT_S} >/proc/sys/net/ipv4/tcp_fin_timeout`;
const inNetwork = (...argv: string[]) =>
  spawnSync("unshare", ["--net", "sh", "-ec", `${NETWORK}; exec "$@"`, "sh", ...argv], {
    encoding: "utf8",
    timeout: 50_000,
  });

const { status, stderr = "" } = inNetwork("true");
const reason = status === 0 ? undefined : `no network of its own: ${stderr.trim() || "no unshare"}`;
if (reason) console.log(`gone-in-a-stream.test.ts is skipped: ${reason}`);

/**
 * A reply that has begun and has nothing more to send. Its client closes its half and goes on reading,
 * or goes away with all read: its kernel says the same of both.
 */
const SCRIPT = `
  import { connect } from "node:net";
  import { setTimeout as sleep } from "node:timers/promises";
  import { nodeTransport } from "${new URL("../../../../compiled/main/http/node.js", import.meta.url)}";
  const replies = [];
  const limits = { requestBytes: 1e6, bodyBytesInFlight: 1e6, connections: 9, bodyMs: 60_000, replyMs: 60_000 };
  const listener = await nodeTransport.listen({
    host: "127.0.0.1", port: 0, limits, onRefused() {},
    handle(request, reply) {
      let piece = Buffer.from("begun");
      const source = { peek: () => piece, take: (length) => { piece = piece.subarray(length); } };
      const sink = reply.stream(200, [], source, () => {});
      sink.pump();
      replies.push({ reply, send: (text) => { piece = Buffer.from(text); sink.pump(); } });
    },
  });
  const ask = () => new Promise((resolve) => {
    const socket = connect({ port: listener.port, host: "127.0.0.1", allowHalfOpen: true });
    let text = "";
    socket.write("GET / HTTP/1.1\\r\\nHost: a\\r\\n\\r\\n");
    socket.on("data", (part) => {
      text += part;
      if (text.includes("begun")) resolve({ socket, text: () => text });
    });
  });
  const half = await ask();
  half.socket.end();
  const gone = await ask();
  gone.socket.destroy();
  const begin = performance.now();
  while (!replies[1].reply.isDisconnected && performance.now() - begin < 30_000) await sleep(50);
  await sleep(500);
  replies[0].send("more");
  await sleep(200);
  process.stdout.write(JSON.stringify({
    gone: replies[1].reply.isDisconnected,
    half: [replies[0].reply.isDisconnected, half.text().includes("more")],
  }));
  process.exit();
`;

test.skipIf(reason !== undefined)(
  "node:http notices in the middle of a reply that its client has gone, and serves one that has closed its half",
  () => {
    const { stdout, stderr } = inNetwork(process.execPath, "--input-type=module", "-e", SCRIPT);
    expect(stderr).toBe("");
    expect(JSON.parse(stdout)).toEqual({ gone: true, half: [false, true] });
  },
);
