import { text } from "./verb-parameters.js";
import { parseCount, parseMoment } from "./verb-parsers.js";

/** `imagestore audit …` */
export const AUDIT_VERBS = [
  {
    name: "list",
    method: "ListAudit",
    summary: "show who has changed what, newest first",
    arguments: [text("dataset", "[dataset]", "only about this name and what is below it")],
    options: [
      {
        ...text("since", "--since <when>", "only from then on: 12h ago, 30d, or a date"),
        parse: parseMoment,
      },
      { ...text("until", "--until <when>", "only before then"), parse: parseMoment },
      text("caller", "--caller <caller>", "only by this token's id, or this subject of a certificate"),
      text("method", "--method <method>", "only calls of this method, such as DeleteDataset"),
      text("outcome", "--outcome <outcome>", "ok, failed, or a reason such as access.denied"),
      { ...text("limit", "--limit <lines>", "the most lines (default 100)"), parse: parseCount },
    ],
    isList: true,
  },
] as const;
