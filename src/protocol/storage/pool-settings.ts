import type { BackupProfiles } from "./backup-profile.js";
import type { PoolName } from "./names.js";

/**
 * The settings of a pool, as the configuration file has them under `pools[]`. The compiler checks
 * the schema of the configuration against this declaration, and the pool's actor and driver get
 * the same object.
 */
interface CommonSettings {
  readonly name: PoolName;
  /**
   * The path of the database of mistify-agent-image. Default: `/POOL/images/.images.db` on OpenZFS,
   * none on an embedded pool.
   */
  readonly originalDatabase?: string | undefined;
}

/** A pool of OpenZFS. */
export interface OpenZfsSettings extends CommonSettings {
  readonly driver: "openzfs";
  /** argv that the arguments of zfs are appended to, such as `["sudo", "zfs"]`. */
  readonly zfsCommand: readonly string[];
  readonly zpoolCommand: readonly string[];
  /**
   * argv that prints the file whose path is appended, such as `["ssh", "node", "cat"]`, to read kstats.
   * Undefined: the daemon reads the file itself. Empty: no kstat is read.
   */
  readonly kstatCommand?: readonly string[] | undefined;
  /**
   * `auto`: calls libzfs_core itself where it can, and where `zfsCommand` is that of this machine, without
   * a prefix. `off`: every change and read is a command.
   */
  readonly library: "auto" | "off";
  /** `auto`: what others change is followed by `zpool events`, and told as events. `off`: it is not. */
  readonly outsideEvents: "auto" | "off";
  /** `single`: every request has its own process, for the bench to compare with. */
  readonly dispatch: "grouped" | "single";
  /** How long an answer waits for `/dev/zvol/…`. Zero if the commands run on another machine. */
  readonly deviceWaitMs: number;
}

/** A pool that the embedded driver keeps in a folder. */
export interface EmbeddedSettings extends CommonSettings {
  readonly driver: "embedded";
  /** Created if it is missing. */
  readonly folder: string;
  /** The most that all files of the pool may use. Undefined: all that the file system has. */
  readonly quotaBytes?: number | undefined;
  /** Opens a pool whose catalog knows fewer files than there are, and sets the others aside. */
  readonly recover?: boolean | undefined;
}

export type PoolSettings = OpenZfsSettings | EmbeddedSettings;

/** Another daemon, whose volumes are pulled. */
export interface PeerSettings {
  /** `http://HOST:PORT` or `https://HOST:PORT`. */
  readonly url: string;
  /** The path of a file with a token of the peer, whose role is `operate`. */
  readonly tokenFile?: string | undefined;
  /** The path of the certificates that sign the peer's, in PEM. */
  readonly caFile?: string | undefined;
  /** What one stream of it is held to. */
  readonly bytesPerSecond?: number | undefined;
}

/** The settings that all pools of a node share. The whole configuration has more. */
export interface NodeSettings {
  readonly dataDir: string;
  /** `HOST:PORT`, or `HOST` whose port is looked up as a DNS SRV record. */
  readonly imageService: string;
  /** Hosts (`HOST` or `HOST:PORT`) that a request's `source` may name. */
  readonly imageSources: readonly string[];
  /** By the names that PullVolume takes. */
  readonly peers: Readonly<Record<string, PeerSettings>>;
  /** Name servers, `ADDRESS` or `ADDRESS:PORT`. Empty: those of the system. */
  readonly dnsServers: readonly string[];
  /** Image fetches of one pool that run at once. */
  readonly numFetchers: number;
  /** Image fetches of one pool that wait. More are refused. */
  readonly maxPending: number;
  /** Properties of new volumes, clones and images. */
  readonly volumeProperties: Readonly<Record<string, string>>;
  /** Where backups go, by the names of the profiles. */
  readonly backups: BackupProfiles;
  readonly log: { readonly level: string };
  /** Of commands: how many of one pool run at once, those that change it, and the other kinds. */
  readonly limits: {
    readonly commands: number;
    readonly destroyCommands: number;
    readonly readCommands: number;
    readonly holdCommands: number;
    /** Bytes. The text of an answer is not longer. */
    readonly replyBytes: number;
  };
  readonly timeouts: {
    readonly commandMs: number;
    readonly dnsMs: number;
    /** How often the actor looks whether its images are still in the pool. */
    readonly imageLookMs: number;
    /** How much longer than the limits of its commands an operation may take, until it counts as late. */
    readonly lateMs: number;
  };
}

/** A command that destroys may take so many times `timeouts.commandMs`: `zfs destroy -r` of many snapshots takes minutes. */
export const DESTROY_TIMEOUT_FACTOR = 10;
