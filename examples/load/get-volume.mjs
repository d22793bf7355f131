// node examples/load/get-volume.mjs [SECONDS] [CONNECTIONS]
//
// Load by autocannon: GetVolume over keep-alive connections, and how many of the answers were failures.
import autocannon from "autocannon";

const { IMAGESTORE_URL = "http://127.0.0.1:19999", IMAGESTORE_TOKEN } = process.env;
const [seconds = "5", connections = "10"] = process.argv.slice(2);
const headers = {
  "Content-Type": "application/json",
  ...(IMAGESTORE_TOKEN && { Authorization: `Bearer ${IMAGESTORE_TOKEN}` }),
};
const request = (method, params) => JSON.stringify({ jsonrpc: "2.0", method, params, id: 1 });
const ID = "guests/example-load";

async function call(method, params) {
  const reply = await fetch(`${IMAGESTORE_URL}/rpc`, {
    method: "POST",
    headers,
    body: request(method, params),
  });
  const { error } = await reply.json();
  if (error) throw new Error(`${method}: ${error.message}`);
}

/** How often each reason was answered. A failure has the status 200: autocannon counts it as a success. */
const reasons = new Map();

function count(body) {
  // A look at the first bytes costs less than JSON.parse, which would slow the load down.
  if (body.startsWith('{"jsonrpc":"2.0","result":')) return;
  const reason = /"reason":"([^"]+)"/.exec(body)?.[1] ?? "no JSON-RPC";
  reasons.set(reason, (reasons.get(reason) ?? 0) + 1);
}

await call("CreateVolume", { id: ID, size: 16 });
try {
  const result = await autocannon({
    url: `${IMAGESTORE_URL}/rpc`,
    duration: Number(seconds),
    connections: Number(connections),
    // uWebSockets.js closes a connection with two requests on their way.
    pipelining: 1,
    requests: [
      {
        method: "POST",
        headers,
        body: request("GetVolume", { id: ID }),
        onResponse: (_, body) => count(body),
      },
    ],
  });
  const failures = [...reasons.values()].reduce((sum, each) => sum + each, 0);
  console.log(`${result.requests.total} answers, ${failures} of them failures`, Object.fromEntries(reasons));
  console.log(
    `${result.errors} connections without an answer, ${result.non2xx} with another status than 2xx`,
  );
  console.log(`latency in ms: median ${result.latency.p50}, 99 % ${result.latency.p99}`);
  if (failures + result.errors + result.non2xx > 0) process.exitCode = 1;
} finally {
  await call("DeleteDataset", { id: ID });
}
