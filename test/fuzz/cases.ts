import type { Random } from "../faults/random.js";
import { type Awaited, KEPT, makeBody, refusedName } from "./bodies.js";

/** What is sent on one connection, and what must come back. */
export interface Case {
  readonly kind: string;
  /** Each is a TCP segment, as far as the client can see to that. */
  readonly segments: readonly Buffer[];
  /**
   * What the client does when all is sent. `wait`: for a reply to each of `awaited`. `halfClose`: it
   * ends its half, and the server must end the other. `destroy`: it goes away.
   */
  readonly ending: "wait" | "halfClose" | "destroy";
  /** For `wait`. */
  readonly awaited: readonly Awaited[];
  /** The request is a HEAD: its reply has no body. */
  readonly toHead: boolean;
  /** The server may end the connection instead of answering: several requests at once to uWebSockets.js. */
  readonly mayEnd: boolean;
}

const ANY: Awaited = { kind: "any" };
const plain = { toHead: false, mayEnd: false } as const;

/** Cuts bytes into segments at random places. */
function cut(random: Random, bytes: Buffer): Buffer[] {
  const pieces = random.chance(0.7) ? 1 : 2 + random.below(4);
  const ends = Array.from({ length: pieces - 1 }, () => random.below(bytes.length + 1)).sort((a, b) => a - b);
  return [0, ...ends].map((start, index) => bytes.subarray(start, ends[index] ?? bytes.length));
}

function chunked(random: Random, body: Buffer): Buffer {
  const parts: Buffer[] = [];
  for (let at = 0; at < body.length; ) {
    const size = 1 + random.below(Math.max(1, Math.min(4096, body.length)));
    const piece = body.subarray(at, at + size);
    const written = random.chance(0.2) ? piece.length.toString(16).toUpperCase() : piece.length.toString(16);
    parts.push(Buffer.from(`${written}\r\n`), piece, Buffer.from("\r\n"));
    at += piece.length;
  }
  return Buffer.concat([...parts, Buffer.from("0\r\n\r\n")]);
}

const HOSTS = ["localhost", "127.0.0.1:19999", "[::1]", "LOCALHOST.:1"];

interface Framed {
  readonly bytes: Buffer;
  readonly awaited: Awaited;
}

/** A whole request of JSON-RPC, as clients send it. */
function request(random: Random): Framed {
  const { text, awaited } = makeBody(random);
  const body = Buffer.from(text);
  const path = awaited.kind === "1.0" || random.chance(0.2) ? "/_mistify_RPC_" : "/rpc";
  const length = random.pick(["Content-Length", "content-length", "CONTENT-LENGTH"]);
  const isChunked = random.chance(0.15);
  const lines = [
    `${random.chance(0.9) ? "POST" : "GET"} ${path}${random.chance(0.05) ? "?a=b" : ""} HTTP/1.1`,
    `Host: ${random.pick(HOSTS)}`,
    ...(random.chance(0.8) ? ["Content-Type: application/json"] : []),
    ...(random.chance(0.1) ? [`Accept-Encoding: ${random.pick(["gzip", "deflate", "br", "*;q=0"])}`] : []),
    ...(random.chance(0.1) ? [`X-${random.below(9)}: ${"y".repeat(random.below(500))}`] : []),
    isChunked ? "Transfer-Encoding: chunked" : `${length}: ${body.length}`,
  ];
  const head = Buffer.from(`${lines.join("\r\n")}\r\n\r\n`);
  return { bytes: Buffer.concat([head, isChunked ? chunked(random, body) : body]), awaited };
}

function valid(random: Random): Case {
  const { bytes, awaited } = request(random);
  return { kind: "valid", segments: cut(random, bytes), ending: "wait", awaited: [awaited], ...plain };
}

const TARGETS = ["/healthz", "/readyz", "/", "/nope", "/%2e%2e/", "/rpc?x", `/${"a/".repeat(200)}`];

/** A request of another path or verb, or one that an origin check refuses. */
function other(random: Random): Case {
  const verb = random.pick(["GET", "HEAD", "PUT", "DELETE", "OPTIONS", "PATCH", "POST"]);
  const lines = [
    `${verb} ${random.pick(TARGETS)} HTTP/1.1`,
    `Host: ${random.chance(0.8) ? random.pick(HOSTS) : "evil.example"}`,
    ...(random.chance(0.1) ? ["Origin: https://evil.example"] : []),
    ...(random.chance(0.1) ? ["Sec-Fetch-Site: cross-site"] : []),
    "Content-Length: 0",
  ];
  const segments = cut(random, Buffer.from(`${lines.join("\r\n")}\r\n\r\n`));
  return { kind: "other", segments, ending: "wait", awaited: [ANY], toHead: verb === "HEAD", mayEnd: false };
}

function download(random: Random): Case {
  // A send is a process of its own, so only a few are made.
  const exists = random.chance(0.02);
  const id = exists ? `${KEPT}@s` : random.pick(["v1@nope", "nope@s", "v1", "", refusedName(random)]);
  const isGet = random.chance(0.5);
  const body = isGet ? "" : `{"id":"${id}"}`;
  const target = isGet ? `/snapshots/download?id=${encodeURIComponent(id)}` : "/snapshots/download";
  const bytes = Buffer.from(
    `${isGet ? "GET" : "POST"} ${target} HTTP/1.1\r\nHost: localhost\r\nContent-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`,
  );
  const leaves = exists && random.chance(0.5);
  return {
    kind: "download",
    segments: cut(random, bytes),
    ending: leaves ? "destroy" : "wait",
    awaited: leaves ? [] : [ANY],
    ...plain,
  };
}

const SPECIAL = Buffer.from('\u0000\r\n :;"{}[],\\/?@%\u007f\u00ff', "latin1");

/** Changes some bytes between `from` and the end. */
function mutate(random: Random, bytes: Buffer, from: number): Buffer {
  let mutated = bytes;
  for (let count = 1 + random.below(6); count > 0; count--) {
    const at = from + random.below(Math.max(1, mutated.length - from));
    const before = mutated.subarray(0, at);
    const some = 1 + random.below(12);
    const change = random.below(6);
    if (change === 0) {
      mutated = Buffer.concat([before, Buffer.from([random.below(256)]), mutated.subarray(at + 1)]);
    } else if (change === 1) {
      const special = SPECIAL[random.below(SPECIAL.length)] ?? 0;
      mutated = Buffer.concat([before, Buffer.from([special]), mutated.subarray(at + random.below(2))]);
    } else if (change === 2) {
      mutated = Buffer.concat([before, mutated.subarray(at + some)]);
    } else if (change === 3) {
      mutated = Buffer.concat([before, mutated.subarray(at, at + some), mutated.subarray(at)]);
    } else if (change === 4) {
      const filler = Buffer.alloc(some, random.below(256));
      mutated = Buffer.concat([before, filler, mutated.subarray(at)]);
    } else {
      // What stands somewhere else in the same bytes.
      const elsewhere = random.below(Math.max(1, mutated.length));
      mutated = Buffer.concat([before, mutated.subarray(elsewhere, elsewhere + some), mutated.subarray(at)]);
    }
  }
  return mutated;
}

function mutated(random: Random): Case {
  const { bytes } = request(random);
  const body = bytes.indexOf("\r\n\r\n") + 4;
  const changed = mutate(random, bytes, random.chance(0.4) ? body : 0);
  const segments = cut(random, changed);
  return { kind: "mutated", segments, ending: "halfClose", awaited: [], ...plain };
}

/** Two to four requests in one go. */
function pipelined(random: Random): Case {
  const requests = Array.from({ length: 2 + random.below(3) }, () => request(random));
  const bytes = Buffer.concat(requests.map((one) => one.bytes));
  const awaited = requests.map((one) => one.awaited);
  return {
    kind: "pipelined",
    segments: cut(random, bytes),
    ending: "wait",
    awaited,
    toHead: false,
    mayEnd: true,
  };
}

/** A request whose framing is wrong, or unusual. */
function framing(random: Random): Case {
  const body = '{"method":"GetImage","params":[{}],"id":1}';
  const head = "POST /_mistify_RPC_ HTTP/1.1\r\nHost: localhost\r\n";
  const { length } = body;
  const text = random.pick<() => string>([
    () => `${head}Content-Length: ${length + 1 + random.below(1000)}\r\n\r\n${body}`,
    () => `${head}Content-Length: ${random.below(length)}\r\n\r\n${body}`,
    () => `${head}Content-Length: ${length}\r\nContent-Length: ${random.below(100)}\r\n\r\n${body}`,
    () =>
      `${head}Content-Length: ${random.pick(["-1", "+5", "0x10", "1e2", "", "9".repeat(30), "5 5"])}\r\n\r\n${body}`,
    () => `${head}Content-Length: ${length}\r\nTransfer-Encoding: chunked\r\n\r\n${body}`,
    () =>
      `${head}Transfer-Encoding: ${random.pick(["gzip", "chunked, gzip", "xchunked", ""])}\r\n\r\n${body}`,
    () =>
      `${head}Transfer-Encoding: chunked\r\n\r\n${random.pick(["zz", "-1", "ffffffffffffffff", "5;x=y", ""])}\r\n${body}\r\n0\r\n\r\n`,
    () => `${head}Transfer-Encoding: chunked\r\n\r\n5\r\n${body}`,
    () => `${head}Content-Length: ${length}\r\n\r\n${body}`.replaceAll("\r\n", "\n"),
    () => `${head}X-Folded: a\r\n\tb\r\nContent-Length: ${length}\r\n\r\n${body}`,
    () => `${head}${"X-Many: y\r\n".repeat(random.below(2000))}Content-Length: ${length}\r\n\r\n${body}`,
    () => `${head}X-Long: ${"y".repeat(random.below(40_000))}\r\nContent-Length: ${length}\r\n\r\n${body}`,
    () =>
      `${head.replace("1.1", random.pick(["1.0", "0.9", "2.0", "9.9", "1"]))}Content-Length: ${length}\r\n\r\n${body}`,
    () => `${head.replace("Host: localhost\r\n", "")}Content-Length: ${length}\r\n\r\n${body}`,
    () => `${head.replace(" /", " http://localhost/")}Content-Length: ${length}\r\n\r\n${body}`,
    () => `${head}Expect: 100-continue\r\nContent-Length: ${length}\r\n\r\n${body}`,
    () =>
      `${head}Connection: Upgrade\r\nUpgrade: ${random.pick(["websocket", "h2c"])}\r\nContent-Length: ${length}\r\n\r\n${body}`,
    () => `CONNECT localhost:1 HTTP/1.1\r\nHost: localhost\r\n\r\n`,
    () => "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    () => "\u0016\u0003\u0001\u0002\u0000\u0001\u0000\u0001\u00fc\u0003\u0003",
    () => "\r\n\r\n\r\n",
  ])();
  const segments = cut(random, Buffer.from(text, "latin1"));
  return { kind: "framing", segments, ending: "halfClose", awaited: [], ...plain };
}

function leaving(random: Random): Case {
  const { bytes } = request(random);
  const sent = bytes.subarray(0, random.chance(0.5) ? bytes.length : random.below(bytes.length));
  return { kind: "leaving", segments: cut(random, sent), ending: "destroy", awaited: [], ...plain };
}

/** The kinds with their shares. */
const KINDS: readonly (readonly [share: number, make: (random: Random) => Case])[] = [
  [0.52, valid],
  [0.06, other],
  [0.03, download],
  [0.22, mutated],
  [0.05, pipelined],
  [0.09, framing],
  [0.03, leaving],
];

export function makeCase(random: Random): Case {
  let at = random.next();
  for (const [share, make] of KINDS) {
    at -= share;
    if (at < 0) return make(random);
  }
  return valid(random);
}
