import { createServer, type Server } from "node:http";

/** A daemon that would send one snapshot, which a receiver has as soon as it has any. */
export async function startStandInPeer(): Promise<{ readonly url: string; close(): Promise<void> }> {
  const answers: Readonly<Record<string, (params: { id: string; have?: readonly string[] }) => object>> = {
    GetSendPlan: ({ id, have = [] }) => ({
      plans: [{ id: `peer/${id}@s`, guid: have[0] ?? "1", isThere: have.length > 0, base: null }],
    }),
    CreateSnapshot: ({ id }) => ({ snapshots: [{ id: `peer/${id}@s`, size: 0 }] }),
    FenceVolume: ({ id }) => ({ snapshots: [{ id: `peer/${id}@s`, size: 0 }] }),
    CreateBookmark: ({ id }) => ({ bookmarks: [{ id: id.replace(/@.*/, "#replica"), guid: "1" }] }),
    ListBookmarks: () => ({ bookmarks: [] }),
  };
  const server: Server = createServer(async (request, reply) => {
    let text = "";
    for await (const piece of request) text += piece;
    const { method, params } = JSON.parse(text) as { method: string; params: { id: string } };
    const result = answers[method]?.(params);
    reply.setHeader("content-type", "application/json");
    reply.end(JSON.stringify({ jsonrpc: "2.0", id: 1, result }));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  const port = typeof address === "object" && address ? address.port : 0;
  return {
    url: `http://127.0.0.1:${port}`,
    close: () => new Promise((resolve) => server.close(() => resolve())),
  };
}
