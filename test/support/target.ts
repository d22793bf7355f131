import "vitest";

/**
 * What the conformance suite knows about the server under test: only what clients can see.
 * test/conformance/README.md says how to point the suite at any running server.
 */
export interface Target {
  /** `http://HOST:PORT`, without a slash at the end. */
  readonly url: string;
  /** Two configured pools; the first is the default. The suite uses only names of its own in them. */
  readonly pools: readonly [string, string];
  /** The server fetches images from 127.0.0.1 at this port; the suite listens there. */
  readonly imageServicePort: number;
  /** A port of 127.0.0.1 that the server's imageSources allows, for requests with a `source`. */
  readonly sourcePort: number;
  readonly numFetchers: number;
  readonly maxPending: number;
  /** For each pool the folder of devices: the device of volume POOL/X is DEVICES/POOL/X. */
  readonly devices: readonly [string, string];
  readonly bodyLimitBytes: number;
  readonly batchLength: number;
  /** Sent with every request: by whom it is, where the server asks. */
  readonly headers: Readonly<Record<string, string>>;
}

/** Why there is no server to test. */
export interface NoTarget {
  readonly skip: string;
}

declare module "vitest" {
  export interface ProvidedContext {
    target: Target | NoTarget;
    vm: { readonly run: string; readonly exec: string } | NoTarget;
  }
}
