import { connect, createServer, type Server } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { codeOf, messageOf } from "../../../protocol/storage/caught-error.js";

/** A lock that one process of this machine can have. It ends with the process, however that ends. */
interface HostLock {
  release(): void;
}

/** What became of an attempt to take the lock. `holder`: what its holder says of itself, perhaps nothing. */
type LockAttempt =
  | { readonly kind: "taken"; readonly lock: HostLock }
  | { readonly kind: "held"; readonly holder: string }
  | { readonly kind: "unsupported"; readonly why: string };

/** How long the holder may take to say who it is. */
const ANSWER_LIMIT_MS = 1_000;
/** A thread of this process that has just crashed may have the lock for a moment more. */
const TRIES = 10;
const PAUSE_MS = 50;

/**
 * Takes the lock `name`: a unix socket in Linux's abstract namespace, which leaves no file behind
 * and which the kernel frees. It is seen within one network namespace. The holder tells whoever
 * asks `holder`, a line of text. Never rejects.
 */
export async function lockOnHost(name: string, holder: string): Promise<LockAttempt> {
  const path = `\0imagestore-${name}`;
  for (let attempt = 1; ; attempt++) {
    try {
      const server = await listen(path, holder);
      return { kind: "taken", lock: { release: () => server.close() } };
    } catch (error) {
      if (codeOf(error) !== "EADDRINUSE") return { kind: "unsupported", why: messageOf(error) };
      if (attempt === TRIES) return { kind: "held", holder: await askHolder(path) };
      await sleep(PAUSE_MS);
    }
  }
}

function listen(path: string, holder: string): Promise<Server> {
  const server = createServer((peer) => {
    peer.on("error", () => {});
    peer.end(`${holder}\n`);
  });
  server.unref();
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen({ path }, () => resolve(server));
  });
}

/** What the holder of the lock says; "" if it says nothing. */
function askHolder(path: string): Promise<string> {
  return new Promise((resolve) => {
    let text = "";
    const peer = connect({ path });
    peer.setTimeout(ANSWER_LIMIT_MS, () => peer.destroy());
    peer.on("data", (chunk: Buffer) => {
      text += chunk.toString("utf8");
    });
    peer.on("error", () => {});
    peer.on("close", () => resolve(text.trim()));
  });
}
