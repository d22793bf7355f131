import { createServer, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import type { Random } from "./random.js";

/** An image service that has every image, and sends it well or badly. */
export interface ImageSource {
  readonly port: number;
  /** The stream that all images have. */
  stream: Buffer;
  /** Faults of the service so far. */
  readonly faults: number;
  close(): Promise<void>;
}

const PIECES = 8;
const PIECE_PAUSE_MS = 5;

async function sendSlowly(response: ServerResponse, bytes: Buffer): Promise<void> {
  const length = Math.ceil(bytes.length / PIECES);
  for (let at = 0; at < bytes.length && !response.destroyed; at += length) {
    response.write(bytes.subarray(at, at + length));
    await sleep(PIECE_PAUSE_MS);
  }
}

/** `faultShare`: of all fetches, this share is cut, stalled, garbage or refused. */
export async function openImageSource(random: Random, faultShare: number): Promise<ImageSource> {
  let faults = 0;
  const sockets = new Set<ServerResponse>();

  async function answer(response: ServerResponse): Promise<void> {
    const { stream } = source;
    if (!random.chance(faultShare)) {
      response.setHeader("content-length", stream.length);
      await sendSlowly(response, stream);
      response.end();
      return;
    }
    faults++;
    const kind = random.pick(["cut", "short", "stall", "garbage", "refused"] as const);
    const part = stream.subarray(0, random.below(stream.length));
    if (kind === "refused") response.writeHead(503).end();
    else if (kind === "garbage") response.end(Buffer.concat([part, Buffer.from("not a stream")]));
    else if (kind === "short") response.end(part);
    else {
      await sendSlowly(response, part);
      // A stalled one is closed by the daemon.
      if (kind === "cut") response.destroy();
    }
  }

  const server = createServer((_, response) => {
    sockets.add(response);
    response.on("close", () => sockets.delete(response));
    response.on("error", () => {});
    void answer(response);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const source = {
    port: (server.address() as AddressInfo).port,
    stream: Buffer.alloc(0),
    get faults() {
      return faults;
    },
    close: async () => {
      for (const response of sockets) response.destroy();
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
  return source;
}
