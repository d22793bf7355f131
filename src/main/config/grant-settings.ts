import { z } from "zod";
import { namePatternProblem } from "../../protocol/access/name-patterns.js";
import { ROLES } from "../../protocol/access/roles.js";
import { poolNameProblem } from "../../protocol/storage/names.js";

const poolName = z
  .string()
  .refine((name) => poolNameProblem(name) === undefined, "must be the name of a pool");
const namePattern = z.string().refine((pattern) => namePatternProblem(pattern) === undefined, {
  error: ({ input }) => `${JSON.stringify(input)} ${namePatternProblem(String(input))}`,
});

/** What a token or a certificate allows: members of the object that stands for it. */
export const grantMembers = {
  role: z.enum(ROLES),
  /** Narrowed to these pools. */
  pools: z.array(poolName).min(1).optional(),
  /** Narrowed to what these patterns cover. */
  names: z.array(namePattern).min(1).optional(),
};
