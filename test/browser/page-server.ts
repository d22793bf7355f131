import { readFileSync } from "node:fs";
import { createServer, type IncomingMessage } from "node:http";
import { connect, createServer as createRelay, type Socket } from "node:net";

const ATTACKS = new URL("attacks.mjs", import.meta.url);

/** The name of a page's own server. The browser is told its address, 127.0.0.1. */
export const PAGE_NAME = "page.example";
/** A name that is another server's first, and the daemon's afterwards. */
export const REBOUND_NAME = "evil.example";
/** The address of `REBOUND_NAME`. It has the daemon's port too, which a rebound page needs. */
export const REBOUND_ADDRESS = "127.0.0.2";

/** What each attack could read. */
export type AttackReport = Readonly<Record<string, string>>;

/** The server of the page that attacks. */
export interface PageServer {
  readonly port: number;
  /** What the page reports when it has tried everything. */
  readonly report: Promise<AttackReport>;
  /** The paths that were asked for, to tell where a page has stopped. */
  readonly asked: readonly string[];
  /** Makes `REBOUND_NAME` the name of the page's server again, so that a page can be shown once more. */
  leadBack(): void;
  close(): Promise<void>;
}

async function textOf(incoming: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of incoming) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks).toString();
}

/**
 * Serves the page at 127.0.0.1 and, as `REBOUND_NAME`, at the daemon's port of another address.
 * There a relay stands in for a name server that changes its answer: once the page has asked for
 * it, connections to that address get to the daemon. Browser and daemon see the same bytes.
 */
export async function startPageServer(daemonPort: number): Promise<PageServer> {
  let onReport: (report: AttackReport) => void;
  const report = new Promise<AttackReport>((resolve) => {
    onReport = resolve;
  });
  /** Where the relay leads: to the page's server, and once a page has asked for it, to the daemon. */
  let relayedPort = 0;
  const relayed = new Set<Socket>();
  const asked: string[] = [];
  const server = createServer((incoming, outgoing) => {
    const url = new URL(incoming.url ?? "/", "http://x");
    asked.push(url.pathname);
    outgoing.setHeader("Connection", "close");
    switch (url.pathname) {
      case "/":
        outgoing.setHeader("Content-Type", "text/html; charset=utf-8");
        return outgoing.end('<!doctype html><body><script type="module" src="/attacks.mjs"></script>');
      case "/attacks.mjs":
        outgoing.setHeader("Content-Type", "text/javascript");
        return outgoing.end(readFileSync(ATTACKS));
      case "/redirect":
        return outgoing.writeHead(307, { Location: url.searchParams.get("to") ?? "" }).end();
      case "/rebind":
        relayedPort = daemonPort;
        for (const socket of relayed) socket.destroy();
        return outgoing.end();
      case "/report":
        // The connection closes with the reply: before that, all of the report must be here.
        return void textOf(incoming).then((text) => {
          onReport(JSON.parse(text) as AttackReport);
          outgoing.end();
        });
      default:
        return outgoing.writeHead(404).end();
    }
  });
  const port = await new Promise<number>((resolve) => {
    server.listen(0, "127.0.0.1", () => {
      const address = server.address();
      resolve(typeof address === "object" && address ? address.port : 0);
    });
  });
  relayedPort = port;
  const relay = createRelay((client) => {
    const behind = connect(relayedPort, "127.0.0.1");
    for (const [socket, other] of [
      [client, behind],
      [behind, client],
    ] as const) {
      relayed.add(socket);
      socket.on("error", () => {});
      socket.on("close", () => {
        relayed.delete(socket);
        other.destroy();
      });
    }
    client.pipe(behind).pipe(client);
  });
  await new Promise<void>((resolve, reject) => {
    relay.once("error", reject);
    relay.listen(daemonPort, REBOUND_ADDRESS, resolve);
  });
  return {
    port,
    report,
    asked,
    leadBack: () => {
      relayedPort = port;
    },
    close: async () => {
      relay.close();
      server.close();
      for (const socket of relayed) socket.destroy();
      server.closeAllConnections();
    },
  };
}
