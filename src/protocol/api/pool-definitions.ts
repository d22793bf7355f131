import { type MethodDefinition, optional } from "./definition.js";
import { listOf, object, record, text } from "./json-schema.js";

export const POOL_DEFINITIONS: Readonly<Record<string, MethodDefinition>> = {
  GetPool: {
    summary: "Shows a pool, or all pools of the daemon",
    params: {
      id: optional(text("The pool. Without it, all of them.")),
      pool: optional(text("The same as `id`.")),
    },
    result: object({ pools: listOf(record("Pool")) }),
    effect: "read",
    answeredBy: "pool",
    failures: {
      "request.invalid": "`id` and `pool` name two pools",
      "pool.not_found": "`no such pool is configured: …`",
    },
    since: "0.1.0",
    examples: [
      {
        name: "all",
        params: {},
        result: {
          pools: [
            {
              name: "tank",
              driver: "openzfs",
              size: 3840,
              allocated: 24,
              free: 3816,
              available: 3695,
              promised: 1000,
              health: "ONLINE",
              fragmentation: 0,
            },
          ],
        },
      },
    ],
  },
};
