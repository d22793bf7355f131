import type { Outcome } from "../../protocol/storage/failures.js";
import type { DatasetName, SnapshotName } from "../../protocol/storage/names.js";
import type { SendFlag, SendFrom, SendTerms } from "../../protocol/storage/send-terms.js";

/** A snapshot by its guid: its name may be another's some day. */
export interface KnownSnapshot {
  readonly name: SnapshotName;
  readonly guid: string;
}

/** What an incremental stream builds on. */
export interface SendBase {
  readonly guid: string;
  /** Whether it is older than the snapshot that is sent. */
  readonly isOlder: boolean;
  /** The snapshots that the command reads beside the one that is sent. */
  readonly needs: readonly KnownSnapshot[];
}

/** What a `receive_resume_token` stands for. It comes from a client: each of these must be checked. */
export interface ResumeToken {
  readonly toName: string;
  readonly toGuid: string;
  /** Undefined: its stream is full. */
  readonly fromGuid: string | undefined;
  readonly flags: readonly SendFlag[];
  /** How many bytes of its stream were received; undefined: it does not say. */
  readonly bytes?: number | undefined;
  /** What would be sent, or why nothing can be. */
  readonly sends: Outcome<{ readonly name: string; readonly estimatedBytes: number | undefined }>;
}

export interface ReceiveTerms {
  /** What has come of a stream that breaks is kept, see `receiveToken`; where it was, only the rest of that one is taken. */
  readonly isResumable?: boolean;
  /** `target` becomes a clone of this snapshot, on which the stream must build. */
  readonly origin?: SnapshotName | undefined;
}

/** The part of a driver that has to do with streams. */
export interface ZfsTransfers {
  /** What an incremental stream of `name` builds on. Undefined: there is no such snapshot or bookmark. */
  findBase(
    name: SnapshotName,
    terms: SendTerms & { readonly from: SendFrom },
  ): Promise<Outcome<SendBase | undefined>>;
  /**
   * What a token of a receiver says, and what would be sent for it. Fails: request.invalid (it is damaged or
   * unknown, or another driver's); also where it can be read, but can't be sent.
   */
  readResumeToken(token: string): Promise<Outcome<ResumeToken>>;
  /** The features that a receiver of the stream must know, by the names that zfs uses. */
  sendFeatures(
    name: SnapshotName,
    terms?: SendTerms,
    token?: ResumeToken,
  ): Promise<Outcome<readonly string[]>>;
  /**
   * Looks for what would make the command of `sendCommand` fail before its first byte.
   * Fails: dataset.key_not_loaded, command.failed (damaged data), and as other look-ups do.
   */
  checkSend(name: SnapshotName, terms?: SendTerms): Promise<Outcome<null>>;
  /** About how many bytes that stream has. Undefined: the pool does not tell; it never fails. */
  estimateSend(name: SnapshotName, terms?: SendTerms): Promise<number | undefined>;
  /** How many bytes a volume has written after its newest snapshot, or ever. Undefined: as of estimateSend. */
  writtenNow(volume: DatasetName): Promise<number | undefined>;
  /** The argv of a command that writes the stream of a snapshot to its stdout. */
  sendCommand(name: SnapshotName, terms?: SendTerms): readonly string[];
  /**
   * The argv of a command that creates `target` from the stream on its stdin, with `marks` as user properties, or
   * adds an increment to it.
   */
  receiveCommand(
    target: DatasetName,
    marks: Readonly<Record<string, string>>,
    terms?: ReceiveTerms,
  ): readonly string[];
  /** Of a receive into `target` that broke, and that a stream of its token goes on with. Undefined: there is none. */
  receiveToken(target: DatasetName): Promise<Outcome<string | undefined>>;
  /** Gives up such a receive: what has come of it goes, and `target` too if it was to be created. */
  abandonReceive(target: DatasetName): Promise<Outcome<null>>;
  /** Must follow a receiveCommand that exited with 0. Reads find `target` when this has succeeded. */
  finishReceive(target: DatasetName): Promise<Outcome<null>>;
}
