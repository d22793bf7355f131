import { succeed } from "../../../protocol/storage/failures.js";
import { childOf } from "../../../protocol/storage/names.js";
import type { OperationHandlers } from "../../../protocol/storage/operations.js";
import type { ActorContext } from "./context.js";

export function poolOperations({ pool, zfs }: ActorContext): Pick<OperationHandlers, "GetPool"> {
  return {
    async GetPool() {
      const [usage, space] = await Promise.all([zfs.poolUsage(), zfs.space(childOf(pool, "guests"))]);
      if (!usage.ok) return usage;
      if (!space.ok) return space;
      return succeed({ name: pool, driver: zfs.driver, ...usage.value, ...space.value });
    },
  };
}
