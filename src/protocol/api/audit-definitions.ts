import { type MethodDefinition, optional } from "./definition.js";
import { count, listOf, object, orNull, record, text } from "./json-schema.js";

export const AUDIT_DEFINITIONS: Readonly<Record<string, MethodDefinition>> = {
  ListAudit: {
    summary: "Lists who has changed what, newest first, as `audit.file` has it",
    description: [
      "It reads backwards from the end of the file as it is now, and not those that were moved away.",
      "A page may have fewer lines than `limit`, or none, although there are more: as long as `next` is a text, ask again with it as `after`.",
      "A page goes on in the file in which the first one began, under its new name too, while that is next to the old one and not compressed.",
      "It ends at the first line that is older than `since`.",
      "Only a token for all pools and names may ask.",
    ].join(" "),
    params: {
      since: optional(text("Only from this time on, RFC 3339.")),
      until: optional(text("Only before this time, RFC 3339.")),
      caller: optional(text("Only by this token's id, or this subject of a certificate.")),
      method: optional(text("Only calls of this method.")),
      outcome: optional(
        text("`ok`, `failed` for what did not do what was asked, or the reason of a failure."),
      ),
      dataset: optional(
        text(
          "Only about this name or one below it, with its pool or without; also the id of a guest or image.",
        ),
      ),
      pool: optional(text("Only of this pool, which need not be configured any more.")),
      limit: optional(count("The most lines of a page, up to 1,000; 0 or none for 100.", "lines")),
      after: optional(text("Where the page begins: the `next` of the page before.")),
    },
    result: object({
      lines: listOf(record("AuditLine")),
      skipped: count("Lines that were passed over: they are none of the daemon's, or torn.", "lines"),
      next: orNull(text("What the next page's `after` is; null where there is none.")),
    }),
    effect: "read",
    answeredBy: "daemon",
    failures: {
      "request.invalid":
        "`not a time`, `not an outcome`, `no audit file is kept: …`, `not a place in the audit file`, `the audit file has changed …: begin without after`",
    },
    since: "0.1.0",
    examples: [
      {
        name: "what a token has changed below a guest",
        params: { caller: "1c2cbe832861", dataset: "guests/g1", limit: 1 },
        result: {
          lines: [
            {
              time: "2026-01-02T03:04:05.000Z",
              caller: "1c2cbe832861",
              peer: "10.0.0.9",
              method: "DeleteDataset",
              pool: "tank",
              datasets: ["tank/guests/g1/disk-0"],
              code: "ok",
              requestId: "8cf0abce873a-k",
            },
          ],
          skipped: 0,
          next: "1835021.104858.5d41402abc4b2a76",
        },
      },
    ],
  },
};
