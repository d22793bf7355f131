import { useEffect, useState } from "preact/hooks";
import type { QuotaRecord } from "../api/records.ts";
import { splitName } from "./names.ts";
import { useStore } from "./store.ts";

/** The id of a guest, by its dataset `tank/guests/g1`. */
export function guestIdOf(root: string): string {
  return splitName(root).inPool.replace(/^guests\//, "");
}

/**
 * What a guest may take and takes, MiB; undefined until the daemon has told it, and where it can't.
 * @param root - its dataset, `tank/guests/g1`
 * @param changes - with another value it is asked again
 */
export function useGuestQuota(root: string, changes: string): QuotaRecord | undefined {
  const { session } = useStore();
  const [found, setFound] = useState<QuotaRecord | undefined>(undefined);
  useEffect(() => {
    let isOld = false;
    const { pool } = splitName(root);
    void session.client.call("GetGuestQuota", { pool, id: guestIdOf(root) }).then((answer) => {
      if (!isOld) setFound(answer.ok ? answer.value.quotas[0] : undefined);
    });
    return () => {
      isOld = true;
    };
  }, [session, root, changes]);
  // Until it is told, nothing of another guest is shown.
  return found?.id === root ? found : undefined;
}
