/** What an nvlist holds, as the channel programs and functions that are called here take it. */
export type NvValue = bigint | string | true | readonly string[] | NvMap;
export interface NvMap {
  readonly [name: string]: NvValue;
}

/** A call of libzfs_core, by the name of its function. Names of datasets are full and checked. */
export type LibraryCall =
  /** A channel program (zfs-program(8)) that gets `names` as its `argv` and returns one string. */
  | {
      readonly name: "lzc_channel_program" | "lzc_channel_program_nosync";
      readonly pool: string;
      readonly program: string;
      readonly names: readonly string[];
    }
  /** Destroys snapshots of any datasets of one pool, all or none. One that is missing is no error. */
  | { readonly name: "lzc_destroy_snaps"; readonly names: readonly string[] }
  | { readonly name: "lzc_hold" | "lzc_release"; readonly holds: readonly HoldOf[] }
  | { readonly name: "lzc_rollback_to"; readonly dataset: string; readonly snapshot: string }
  | {
      readonly name: "lzc_clone";
      readonly origin: string;
      readonly target: string;
      readonly properties: NvMap;
    }
  | {
      readonly name: "lzc_create";
      readonly type: "filesystem" | "volume";
      readonly target: string;
      readonly properties: NvMap;
    }
  | { readonly name: "lzc_destroy" | "lzc_promote"; readonly target: string }
  /** Makes snapshots of different datasets of one pool, all or none, in one transaction group. */
  | { readonly name: "lzc_snapshot"; readonly names: readonly string[] }
  | { readonly name: "lzc_rename"; readonly from: string; readonly to: string };

/** A hold, one of a snapshot in a call. */
export interface HoldOf {
  readonly name: string;
  readonly tag: string;
}

/** What a function of libzfs_core gave back. */
export interface Returned {
  readonly kind: "returned";
  /** 0: it was done, but for what `errors` names. Any other: nothing of it was done. */
  readonly errno: number;
  /** The errnos of single names, where the function tells them. */
  readonly errors: Readonly<Record<string, number>>;
  /** What a channel program returned. */
  readonly value: string;
}

/** How a call ended. */
export type LibraryExit =
  | Returned
  /** The library can't be used, and nothing was called. */
  | { readonly kind: "unusable"; readonly why: string }
  /** The runner died while the call was pending: its outcome is unknown. */
  | { readonly kind: "lost" }
  /** The call took too long, and its runner was killed. It may still go on in the kernel. */
  | { readonly kind: "timed_out"; readonly afterMs: number };

export interface LibraryEnd {
  readonly exit: LibraryExit;
  readonly ms: number;
}

/** What stands for a call where commands are listed: the name of its function, and what it is about. */
export function argvOf(call: LibraryCall): readonly string[] {
  switch (call.name) {
    case "lzc_channel_program":
    case "lzc_channel_program_nosync":
    case "lzc_destroy_snaps":
    case "lzc_snapshot":
      return [call.name, ...call.names];
    case "lzc_hold":
    case "lzc_release":
      return [call.name, ...call.holds.flatMap(({ name, tag }) => [tag, name])];
    case "lzc_rollback_to":
      return [call.name, call.snapshot];
    case "lzc_clone":
      return [call.name, call.origin, call.target];
    case "lzc_create":
    case "lzc_destroy":
    case "lzc_promote":
      return [call.name, call.target];
    case "lzc_rename":
      return [call.name, call.from, call.to];
  }
}
