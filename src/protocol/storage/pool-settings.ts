import type { PoolName } from "./names.js";

/**
 * The settings of a pool: the one declaration of what the configuration file has under
 * `pools[]`. The configuration's schema is checked against it, and the same object goes to
 * the pool's actor and to its driver.
 */
interface CommonSettings {
  readonly name: PoolName;
  /** The database of mistify-agent-image. Default on OpenZFS: `/POOL/images/.images.db`; embedded: none. */
  readonly originalDatabase?: string | undefined;
}

/** A pool of OpenZFS. */
export interface OpenZfsSettings extends CommonSettings {
  readonly driver: "openzfs";
  /** argv in front of the arguments of zfs, such as `["sudo", "zfs"]`. */
  readonly zfsCommand: readonly string[];
  readonly zpoolCommand: readonly string[];
  /**
   * argv that prints a kstat of the pool when its path is appended, such as `["ssh", "node", "cat"]`.
   * Undefined: the daemon reads the file itself. Empty: no kstat is read.
   */
  readonly kstatCommand?: readonly string[] | undefined;
  /** `single`: a process for each request, nothing shared. For the bench to compare with. */
  readonly dispatch: "grouped" | "single";
  /** How long an answer waits for `/dev/zvol/…`; 0 where the commands run on another machine. */
  readonly deviceWaitMs: number;
}

/** A pool in a folder. */
export interface EmbeddedSettings extends CommonSettings {
  readonly driver: "embedded";
  /** Where the pool is kept; created when it is missing. */
  readonly folder: string;
  /** The most that the pool's files may take together, bytes; undefined: what the file system has. */
  readonly quotaBytes?: number | undefined;
  /** Opens a pool whose catalog knows fewer files than there are, and sets the others aside. */
  readonly recover?: boolean | undefined;
}

export type PoolSettings = OpenZfsSettings | EmbeddedSettings;

/** What all pools of a node share; the checked configuration has these and more. */
export interface NodeSettings {
  readonly dataDir: string;
  /** `HOST` or `HOST:PORT`; without a port, the port comes from a DNS SRV look-up of HOST. */
  readonly imageService: string;
  /** Hosts (`HOST` or `HOST:PORT`) that a request's `source` may name. */
  readonly imageSources: readonly string[];
  /** Name servers to ask instead of the system's, `ADDRESS` or `ADDRESS:PORT`. */
  readonly dnsServers: readonly string[];
  readonly numFetchers: number;
  readonly maxPending: number;
  /** Properties of new volumes, clones and images. */
  readonly volumeProperties: Readonly<Record<string, string>>;
  readonly log: { readonly level: string };
  /** `commands`: processes that one pool's actor runs at once. */
  readonly limits: { readonly commands: number };
  readonly timeouts: { readonly commandMs: number; readonly dnsMs: number };
}
