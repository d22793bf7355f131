import type { SeenDataset } from "./ledger.js";

/** A pool as it is, read behind the back of the daemon. */
export interface PoolView {
  /** By names relative to the pool; snapshots too. */
  readonly datasets: ReadonlyMap<string, SeenDataset>;
  /** Holds, partial receives, files, records and processes that nothing needs any more, a line each. */
  readonly leftovers: readonly string[];
}

/** A pool that a campaign of faults works on. */
export interface PoolUnderTest {
  readonly name: string;
  readonly driver: "embedded" | "openzfs";
  /** Of the daemon's configuration: `pools[0]`. */
  readonly config: Readonly<Record<string, unknown>>;
  readonly dataDir: string;
  /** Of the daemon's environment. */
  readonly env: NodeJS.ProcessEnv;
  /** How long a command of the pool may take, as the daemon is configured. */
  readonly commandMs: number;
  /** The longest that a call may take: one command with the longest limit, and some others. */
  readonly callLimitMs: number;
  /** Writes bytes that no compression makes smaller to a volume. */
  fill(volume: string): void | Promise<void>;
  /** Waits for what a killed daemon has left running outside of this machine. */
  settle(): Promise<void>;
  /** Reads the pool while the daemon runs and does nothing. */
  view(): Promise<PoolView>;
  remove(): void;
}

/** How the name of a partial receive begins, relative to the pool. */
export const PARTIAL = "images/.partial-";
