/** Where backups go, as `backups.NAME` of the configuration has it. The keys are in files: no message carries them. */
export interface BackupProfile {
  /** `http://HOST:PORT` or `https://…`, without a path. */
  readonly endpoint: string;
  readonly region: string;
  readonly bucket: string;
  /** What the names of all objects begin with, without a slash at its end; "" for nothing. */
  readonly prefix: string;
  /** Files with mode 0600 that hold one line each. They are read anew for each use. */
  readonly accessKeyFile: string;
  readonly secretKeyFile: string;
  /** Whether the bucket is in the path of a URL, and not in its host. */
  readonly pathStyle: boolean;
  /** PEM certificates of the authorities that the endpoint's certificate may come from, beside the usual ones. */
  readonly caFile?: string | undefined;
  /** Whom backups are encrypted to: public keys of age. Empty: see `identityFile`. */
  readonly recipients: readonly string[];
  /**
   * A file with mode 0600 that holds identities of age, which open encrypted backups. Without `recipients`, backups
   * are encrypted to theirs. Without both they are not encrypted.
   */
  readonly identityFile?: string | undefined;
  /** So many increments follow a full backup; then comes another full one. */
  readonly fullEvery: number;
  /** The size of a part of an upload. So much is in memory three times while a backup runs. */
  readonly partBytes: number;
  /** What is left of a backup that did not end is removed when it is so old. */
  readonly abandonedMs: number;
}

export type BackupProfiles = Readonly<Record<string, BackupProfile>>;
