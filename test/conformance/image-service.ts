import { createHash } from "node:crypto";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";

/** How one image is answered. */
export type Behaviour = (request: IncomingMessage, response: ServerResponse) => void | Promise<void>;

/** An image service of the suite's own: `/images/ID/download`, with any fault that is asked for. */
export interface ImageService {
  readonly url: string;
  /** From now on `id` is answered so; an id without a behaviour is answered with 404. */
  serve(id: string, behaviour: Behaviour): void;
  /** How often `id` was asked for. */
  requests(id: string): number;
  close(): Promise<void>;
}

/** `port`: 0 is any that is free. */
export async function openImageService(port: number): Promise<ImageService> {
  const behaviours = new Map<string, Behaviour>();
  const counts = new Map<string, number>();
  const server = createServer((request, response) => {
    const [, encoded = ""] = /^\/images\/([^/]+)\/download$/.exec(request.url ?? "") ?? [];
    const id = decodeURIComponent(encoded);
    counts.set(id, (counts.get(id) ?? 0) + 1);
    const behaviour = behaviours.get(id) ?? status(404);
    response.on("error", () => {});
    void Promise.resolve(behaviour(request, response)).catch((error: unknown) => {
      response.destroy(error instanceof Error ? error : new Error(String(error)));
    });
  });
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(port, "127.0.0.1", resolve);
  });
  const address = server.address();
  return {
    url: `http://127.0.0.1:${typeof address === "object" && address ? address.port : port}`,
    serve: (id, behaviour) => {
      behaviours.set(id, behaviour);
    },
    requests: (id) => counts.get(id) ?? 0,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

/** 200 with these bytes. */
export function bytes(body: Buffer, headers: Readonly<Record<string, string>> = {}): Behaviour {
  return (_request, response) => {
    response.writeHead(200, { "Content-Length": body.length, ...headers });
    response.end(body);
  };
}

export function status(code: number): Behaviour {
  return (_request, response) => {
    response.writeHead(code, { "Content-Type": "text/plain" });
    response.end("no image for you\n");
  };
}

export function redirect(location: string): Behaviour {
  return (_request, response) => {
    response.writeHead(302, { Location: location });
    response.end();
  };
}

/** Promises the whole body, sends the first `length` bytes of it and breaks the connection. */
export function broken(body: Buffer, length: number): Behaviour {
  return (_request, response) => {
    response.writeHead(200, { "Content-Length": body.length });
    response.write(body.subarray(0, length), () => response.destroy());
  };
}

/** Sends a little, then nothing more, until the other side gives up. */
export function silent(body: Buffer): Behaviour {
  return (_request, response) => {
    response.writeHead(200, { "Content-Length": body.length });
    response.write(body.subarray(0, 100));
  };
}

/** A gate that holds behaviours until it is opened. */
export function createGate(): { open(): void; hold(behaviour: Behaviour): Behaviour } {
  let open = () => {};
  const opened = new Promise<void>((resolve) => {
    open = resolve;
  });
  return {
    open,
    hold: (behaviour) => async (request, response) => {
      await opened;
      await behaviour(request, response);
    },
  };
}

/** The header by which a service states the digest of what it sends (RFC 9530). */
export function contentDigest(body: Buffer): Readonly<Record<string, string>> {
  return { "Content-Digest": `sha-256=:${createHash("sha256").update(body).digest("base64")}:` };
}
