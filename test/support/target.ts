import "vitest";

/**
 * What the conformance suite knows of the server under test: nothing of its inside.
 * test/conformance/README.md says how to point the suite at any running server.
 */
export interface Target {
  /** `http://HOST:PORT`, without a slash at the end. */
  readonly url: string;
  /** Two configured pools; the first is the default one. The suite may use only names of its own in them. */
  readonly pools: readonly [string, string];
  /** The server fetches images from 127.0.0.1 at this port; the suite listens there. */
  readonly imageServicePort: number;
  /** A port of 127.0.0.1 that the server's imageSources allows, for requests with a `source`. */
  readonly sourcePort: number;
  readonly numFetchers: number;
  readonly maxPending: number;
  /** Of each pool, the folder of its volumes' devices: a volume POOL/X has its device at DEVICES/POOL/X. */
  readonly devices: readonly [string, string];
  readonly bodyLimitBytes: number;
  readonly batchLength: number;
}

/** Why there is no server to test, when there is none. */
export interface NoTarget {
  readonly skip: string;
}

declare module "vitest" {
  export interface ProvidedContext {
    target: Target | NoTarget;
    vm: { readonly run: string; readonly exec: string } | NoTarget;
  }
}
