import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import Negotiator from "negotiator";
import { allowing, PLAIN_TEXT } from "../protocol/http/headers.js";
import type { Headers, HttpRequest, WholeReply } from "../protocol/http/transport.js";

/** Answers a request for a path of the page. */
export type WebPage = (request: HttpRequest, reply: WholeReply) => void;

/** What `npm run build` makes of the folder ui. */
export const BUILT_PAGE = fileURLToPath(new URL("../../dist/ui", import.meta.url));

const ROOT = "/ui";

/** Whether a path is the page's. */
export function isOfPage(path: string): boolean {
  return path.startsWith(ROOT) && (path.length === ROOT.length || path[ROOT.length] === "/");
}

/** The page runs its own scripts alone, asks this daemon alone, and is in no frame. */
const SECURITY: Headers = [
  [
    "Content-Security-Policy",
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; " +
      "frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
  ],
  ["X-Content-Type-Options", "nosniff"],
  ["Referrer-Policy", "no-referrer"],
  ["Cross-Origin-Opener-Policy", "same-origin"],
  ["Cross-Origin-Resource-Policy", "same-origin"],
];

const TYPES: Readonly<Record<string, string>> = {
  html: "text/html; charset=utf-8",
  js: "text/javascript; charset=utf-8",
  css: "text/css; charset=utf-8",
  svg: "image/svg+xml",
};

/** Content codings, the best first, and what their files end in. */
const ENDINGS = { br: ".br", gzip: ".gz", identity: "" } as const;
type Coding = keyof typeof ENDINGS;
const CODINGS: readonly Coding[] = ["br", "gzip", "identity"];

/** A file in each coding that the build has made of it. */
type PageFile = ReadonlyMap<string, { readonly headers: Headers; readonly body: Buffer }>;

/** The name of a file below `assets` has a hash of its content, so it never changes. */
function cacheOf(path: string): string {
  return path.startsWith("assets/") ? "public, max-age=31536000, immutable" : "no-cache";
}

function readFile(folder: string, path: string, type: string, names: ReadonlySet<string>): PageFile {
  const codings = CODINGS.filter((coding) => names.has(path + ENDINGS[coding]));
  return new Map(
    codings.map((coding) => {
      const headers: Headers = [
        ["Content-Type", type],
        ["Cache-Control", cacheOf(path)],
        ["Vary", "Accept-Encoding"],
        ...(coding === "identity" ? [] : [["Content-Encoding", coding] as const]),
        ...SECURITY,
      ];
      return [coding, { headers, body: readFileSync(join(folder, path + ENDINGS[coding])) }];
    }),
  );
}

/** The files of the built page, by the path at which each is served. Empty where it was not built. */
function readPage(folder: string): ReadonlyMap<string, PageFile> {
  const files = new Map<string, PageFile>();
  let names: ReadonlySet<string>;
  try {
    names = new Set(readdirSync(folder, { encoding: "utf8", recursive: true }));
  } catch {
    return files;
  }
  for (const path of names) {
    const type = TYPES[path.slice(path.lastIndexOf(".") + 1)];
    if (type === undefined) continue;
    const file = readFile(folder, path, type, names);
    if (path === "index.html") files.set(ROOT, file).set(`${ROOT}/`, file);
    else files.set(`${ROOT}/${path}`, file);
  }
  return files;
}

/**
 * Serves the page from memory. What was in `folder` at the first request is served, and no other path
 * is looked for. Whoever reaches the daemon may have it: it tells nothing, and asks for a token itself.
 */
export function createWebPage(folder: string): WebPage {
  /** Undefined until the page is asked for: most daemons are asked by agents alone. */
  let files: ReadonlyMap<string, PageFile> | undefined;

  return (request, reply) => {
    const { method, path } = request;
    files ??= readPage(folder);
    const file = files.get(path);
    if (file === undefined) return reply.send(404, PLAIN_TEXT, "404 page not found\n");
    if (method !== "GET" && method !== "HEAD") {
      return reply.send(405, allowing("GET, HEAD"), `method not allowed: ${method}\n`);
    }
    const accepted = { headers: { "accept-encoding": request.header("accept-encoding") || "identity" } };
    const taken = new Negotiator(accepted).encodings([...file.keys()]);
    const chosen = file.get(CODINGS.find((coding) => taken.includes(coding)) ?? "identity");
    if (chosen) reply.send(200, chosen.headers, chosen.body);
  };
}
