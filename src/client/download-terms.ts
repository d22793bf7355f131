/** What a download asks for beside its snapshot. docs/api.md says what each means. */
export interface DownloadTerms {
  readonly pool?: string | undefined;
  /** The snapshot or bookmark that the stream builds on. */
  readonly from?: string | undefined;
  /** The snapshots between `from` and the one that is sent come along. */
  readonly intermediates?: boolean | undefined;
  readonly flags?: readonly ("compressed" | "largeBlock" | "embedData" | "raw")[] | undefined;
  /** Bytes a second. */
  readonly rate?: number | undefined;
  /** The `receive_resume_token` of a receiver that was cut off. */
  readonly resume?: string | undefined;
}

/** The members of a download's query. */
export function queryOf(terms: DownloadTerms): Readonly<Record<string, string>> {
  const { pool, from, intermediates, flags, rate, resume } = terms;
  return {
    ...(pool !== undefined && { pool }),
    ...(from !== undefined && { from }),
    ...(intermediates && { intermediates: "1" }),
    ...(flags !== undefined && flags.length > 0 && { flags: flags.join(",") }),
    ...(rate !== undefined && { rate: String(rate) }),
    ...(resume !== undefined && { resume }),
  };
}
