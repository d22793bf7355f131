import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import type * as uWebSockets from "@btc-vision/uwebsockets.js";
import { versionOfPackageAt } from "../own-version.js";

/** What is used of uWebSockets.js. Every build has it. */
export type UwsModule = Pick<
  typeof uWebSockets,
  "App" | "SSLApp" | "us_listen_socket_close" | "us_socket_local_port"
>;

declare module "@btc-vision/uwebsockets.js" {
  /** What the native module has and its type declarations lack. */
  interface TemplatedApp {
    listen(
      host: string,
      port: number,
      options: number,
      callback: (socket: us_listen_socket | false) => void,
    ): TemplatedApp;
  }
}

export interface UwsBuild {
  readonly module: UwsModule;
  /** The package that it is from. */
  readonly source: string;
  /** Of that package. */
  readonly version: string;
}

/** One package of uWebSockets.js. */
interface UwsPackage {
  readonly name: string;
  /** The native build for this process, from the path of the package's main file. */
  file(main: string): string;
}

const { platform, arch, versions } = process;
const FILE = `uws_${platform}_${arch}_${versions.modules}.node`;

/**
 * In the order in which they are tried: what the user installed, the newer build (Node 20 to 25,
 * glibc 2.38), the older one (Node 16 to 20, glibc 2.27).
 *
 * Their main files print or throw traces of their own, and the older one serves with a slow
 * fallback that lacks functions. So the native file is loaded without them.
 */
const PACKAGES: readonly UwsPackage[] = [
  { name: "uWebSockets.js", file: (main) => join(dirname(main), FILE) },
  { name: "@btc-vision/uwebsockets.js", file: (main) => join(dirname(main), FILE) },
  { name: "@trufflesuite/uws-js-unofficial", file: (main) => join(dirname(main), "../binaries", FILE) },
];

/** The longest head of a request. */
const HEAD_BYTES = 16 * 1024;

/**
 * Loads the first build of uWebSockets.js that this process can load.
 * @returns the build, and why those before it were not taken, a text each.
 */
export function loadUws(): { readonly build: UwsBuild | undefined; readonly passedOver: readonly string[] } {
  const require = createRequire(import.meta.url);
  const passedOver: string[] = [];
  // As node:http has it. The newer builds take 4 KiB by themselves; the older one doesn't know the variable.
  process.env.UWS_HTTP_MAX_HEADERS_SIZE ??= String(HEAD_BYTES);
  for (const { name, file } of PACKAGES) {
    try {
      const main = require.resolve(name);
      const module = require(file(main));
      return { build: { module, source: name, version: versionOfPackageAt(main) }, passedOver };
    } catch (error) {
      passedOver.push(`${name}: ${reasonOf(error)}`);
    }
  }
  return { build: undefined, passedOver };
}

/** The first line of an error, without the paths of this machine. */
function reasonOf(error: unknown): string {
  const [line = ""] = (error instanceof Error ? error.message : String(error)).split("\n");
  if (line.startsWith("Cannot find package") || /^Cannot find module '[^/]/.test(line))
    return "not installed";
  if (line.startsWith("Cannot find module"))
    return `has no build for Node ${versions.node} on ${platform}/${arch}`;
  const glibc = /version `(GLIBC[^']*)' not found/.exec(line);
  return glibc ? `needs ${glibc[1]}` : line;
}
