/** A change of a pool that no call to this daemon made, as an event tells it. */
export interface OutsideChange {
  readonly topic: "image" | "volume" | "snapshot" | "guest" | "pool";
  readonly action: "created" | "deleted" | "changed" | "rolled-back";
  /** The full name of a dataset or snapshot; the pool's own name. */
  readonly id: string;
  /**
   * What happened to a pool, as zpool-events(8) calls it; `properties`: of the pool or its root; `missed`: changes may
   * have been made that nobody tells. Undefined for other topics.
   */
  readonly what?: string | undefined;
  /** More of that for people, such as a vdev and its state. */
  readonly detail?: string | undefined;
}

/** A notification to main: changes in their order. */
export interface OutsideNotice {
  readonly outside: readonly OutsideChange[];
}
