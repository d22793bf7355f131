import { readdirSync, readFileSync } from "node:fs";
import { createServer, type IncomingMessage } from "node:http";
import type { AddressInfo } from "node:net";
import type { DaemonProcess } from "./daemon.js";
import { until } from "./until.js";

/** What no one may see of a source: its user, its password and the signature in its query. */
export const SECRETS: readonly string[] = ["agent-smith", "hunter2", "signed-by-me"];

/** Where sources with secrets are asked for, and what was asked there. */
interface SecretSources {
  /** Of the server; to be allowed by `imageSources`. */
  readonly host: string;
  /** What came: the decoded credentials and the path of each request. */
  readonly asked: readonly string[];
  close(): Promise<void>;
}

interface Server extends SecretSources {
  /** Lets the body of `/whole` come. */
  open(): void;
}

const secretUrl = (host: string, path: string) =>
  `http://${SECRETS[0]}:${SECRETS[1]}@${host}/${path}?X-Signature=${SECRETS[2]}`;

/** A server of images whose URLs have secrets. `/whole` sends `stream` after `open`; other paths fail. */
export async function openSecretSources(stream: Buffer): Promise<Server> {
  const asked: string[] = [];
  let open = () => {};
  const opened = new Promise<void>((resolve) => {
    open = resolve;
  });
  const server = createServer((request, response) => {
    asked.push(`${credentialsOf(request)} ${request.url}`);
    const path = (request.url ?? "").slice(1).split("?")[0];
    if (path === "whole") {
      response.writeHead(200, { "Content-Length": stream.length }).write(stream.subarray(0, 400));
      void opened.then(() => response.end(stream.subarray(400)));
    } else if (path === "cut") {
      response.writeHead(200, { "Content-Length": stream.length });
      response.write(stream.subarray(0, 400), () => response.destroy());
    } else if (path === "garbage") response.end("no stream at all ".repeat(100));
    else if (path === "away") response.writeHead(302, { Location: secretUrl("example.invalid", "x") }).end();
    else if (path === "circle") response.writeHead(302, { Location: request.url ?? "" }).end();
    else response.writeHead(404).end();
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    host: `127.0.0.1:${(server.address() as AddressInfo).port}`,
    asked,
    open,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

function credentialsOf({ headers }: IncomingMessage): string {
  return Buffer.from((headers.authorization ?? "").slice("Basic ".length), "base64").toString();
}

/** Sends a call of each version and returns the replies. */
async function replies(url: string, id: string, source: unknown): Promise<string> {
  const params = { id, type: "kvm", source };
  const bodies = [
    { method: "ImageStore.RequestImage", params: [params], id: 1 },
    { jsonrpc: "2.0", method: "RequestImage", params, id: 1 },
  ];
  const texts: string[] = [];
  for (const body of bodies) {
    const headers = { "content-type": "application/json", connection: "close" };
    const reply = await fetch(`${url}/rpc`, { method: "POST", headers, body: JSON.stringify(body) });
    texts.push(await reply.text());
  }
  return texts.join("\n");
}

/** The argv of every process of this machine that has `word` in it, without this one. */
function argvWith(word: string): string {
  const argvs = readdirSync("/proc").flatMap((entry) => {
    if (!/^\d+$/.test(entry) || Number(entry) === process.pid) return [];
    try {
      return readFileSync(`/proc/${entry}/cmdline`, "utf8").replaceAll("\0", " ");
    } catch {
      return [];
    }
  });
  return argvs.filter((argv) => argv.includes(word)).join("\n");
}

/**
 * Requests images of such sources: one that comes, as `ID`, and others that fail in every way.
 * @returns what was shown meanwhile, by where.
 */
export async function requestSecretSources(
  { url, log }: DaemonProcess,
  { host, open }: Server,
  id: string,
): Promise<Record<string, string>> {
  const scrape = async (path: string) => (await fetch(`${url}${path}`)).text();
  const whole = replies(url, id, secretUrl(host, "whole"));
  await until("the receive runs", () => argvWith("imagestore:source").includes(host));
  const coming = {
    argv: argvWith("imagestore:source"),
    "/readyz": await scrape("/readyz"),
    "/metrics while it comes": await scrape("/metrics"),
  };
  open();
  const shown: Record<string, string> = { ...coming, whole: await whole };
  const failing: Record<string, unknown> = {
    missing: secretUrl(host, "missing"),
    cut: secretUrl(host, "cut"),
    garbage: secretUrl(host, "garbage"),
    away: secretUrl(host, "away"),
    circle: secretUrl(host, "circle"),
    "nobody there": secretUrl("127.0.0.1:1", "x"),
    "not allowed": secretUrl("elsewhere.example", "x"),
    "no URL": secretUrl("[no address", "x"),
    "another scheme": secretUrl(host, "x").replace("http:", "ftp:"),
    "too long": `${secretUrl(host, "x")}&${"x".repeat(100_000)}`,
    "a control character": `${secretUrl(host, "x")}\n`,
    "an object": { url: secretUrl(host, "x") },
    "a list": [secretUrl(host, "x")],
  };
  for (const [what, source] of Object.entries(failing)) {
    shown[what] = await replies(url, `${id}-${what.replaceAll(" ", "-")}`, source);
  }
  shown["/metrics"] = await scrape("/metrics");
  shown.images = await (
    await fetch(`${url}/rpc`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ method: "ImageStore.ListImages", params: [{}], id: 1 }),
    })
  ).text();
  shown.log = log();
  return shown;
}
