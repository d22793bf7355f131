import { fail, succeed } from "../../storage/failures.js";
import { choosePool } from "../../storage/names.js";
import type { PoolRecord } from "../../storage/records.js";
import { mibFromBytes } from "../../storage/units.js";
import { quote } from "../json-text.js";
import { string, struct } from "../params.js";
import { type Method, methodOnPools } from "./method.js";

/** Both `id` and `pool` name the pool: `id` as in other methods, `pool` as their optional member. */
const requestType = struct({ id: string, pool: string });

function encodePool(pool: PoolRecord): string {
  const { name, driver, size, allocated, free, available, promised, health, fragmentation } = pool;
  const sizes = Object.entries({ size, allocated, free, available, promised })
    .map(([key, bytes]) => `"${key}":${mibFromBytes(bytes)}`)
    .join(",");
  return `{"name":${quote(name)},"driver":${quote(driver)},${sizes},"health":${quote(health)},"fragmentation":${fragmentation ?? "null"}}`;
}

export const poolMethods: readonly Method[] = [
  methodOnPools({
    operation: "GetPool",
    role: "read",
    struct: "PoolRequest",
    request: requestType,
    plan: ({ id, pool }, pools) => {
      if (id !== "" && pool !== "" && id !== pool) {
        return fail("request.invalid", `id and pool name two pools: ${id} and ${pool}`);
      }
      const name = id === "" ? pool : id;
      const operation = { op: "GetPool" } as const;
      if (name === "") return succeed({ pools, operation });
      const scope = choosePool(pools, name);
      return scope.ok ? succeed({ pools: [scope.value.pool], operation }) : scope;
    },
    encode: (records) => `{"pools":[${records.map(encodePool).join(",")}]}`,
  }),
];
