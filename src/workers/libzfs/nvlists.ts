import type { NvMap } from "./library-call.js";
import type { NativeFunctions, Pointer } from "./native-functions.js";

/** Writes and reads nvlists, in the memory of libnvpair. */
export interface Nvlists {
  /** Makes an nvlist, gives it to `use`, and frees it when that has ended. */
  with<T>(map: NvMap, use: (list: Pointer) => Promise<T>): Promise<T>;
  /** The numbers in a list of errors that a function gave back, and frees it. */
  takeErrors(list: Pointer): Record<string, number>;
  /** The string `name` of a list that a function gave back, "" if there is none, and frees it. */
  takeString(list: Pointer, name: string): string;
}

export function createNvlists({ nvpair }: NativeFunctions): Nvlists {
  function add(list: Pointer, map: NvMap): void {
    for (const [name, value] of Object.entries(map)) {
      if (value === true) nvpair.fnvlist_add_boolean(list, name);
      else if (typeof value === "bigint") nvpair.fnvlist_add_uint64(list, name, value);
      else if (typeof value === "string") nvpair.fnvlist_add_string(list, name, value);
      else if (isTexts(value)) nvpair.fnvlist_add_string_array(list, name, value, value.length);
      else {
        const inner = nvpair.fnvlist_alloc();
        add(inner, value);
        // It copies what it is given.
        nvpair.fnvlist_add_nvlist(list, name, inner);
        nvpair.fnvlist_free(inner);
      }
    }
  }

  function take<T>(list: Pointer, none: T, read: () => T): T {
    if (list === null || list === undefined) return none;
    try {
      return read();
    } finally {
      nvpair.fnvlist_free(list);
    }
  }

  return {
    async with(map, use) {
      const list = nvpair.fnvlist_alloc();
      try {
        add(list, map);
        return await use(list);
      } finally {
        nvpair.fnvlist_free(list);
      }
    },

    takeErrors: (list) =>
      take(list, {}, () => {
        const errors: Record<string, number> = {};
        for (let pair = nvpair.nvlist_next_nvpair(list, null); pair; ) {
          const number: [unknown] = [0];
          if (nvpair.nvpair_value_int32(pair, number) === 0) {
            errors[String(nvpair.nvpair_name(pair))] = Number(number[0]);
          }
          pair = nvpair.nvlist_next_nvpair(list, pair);
        }
        return errors;
      }),

    takeString: (list, name) =>
      take(list, "", () => {
        const text: [unknown] = [""];
        return nvpair.nvlist_lookup_string(list, name, text) === 0 ? String(text[0]) : "";
      }),
  };
}

function isTexts(value: NvMap | readonly string[]): value is readonly string[] {
  return Array.isArray(value);
}
