import type { Reason } from "./api-records.js";
import { DownloadError } from "./client-errors.js";
import { type DaemonFetch, refusalOf } from "./daemon-fetch.js";
import { pause } from "./retries.js";
import { parseWire } from "./wire-json.js";

/** So long a download that we saw end may still be `running` for the daemon. */
const RESULT_LIMIT_MS = 30_000;
const RESULT_PAUSE_MS = 200;

/** What `/snapshots/download/result` answers. */
interface DownloadResult {
  readonly state: "running" | "complete" | "failed";
  readonly bytes?: number;
  readonly reason?: Reason;
  readonly message?: string;
}

async function resultOf(
  ask: DaemonFetch,
  id: string,
  signal: AbortSignal | undefined,
): Promise<DownloadResult> {
  const until = Date.now() + RESULT_LIMIT_MS;
  for (;;) {
    const response = await ask(`/snapshots/download/result?download=${encodeURIComponent(id)}`, {
      signal: signal ?? null,
    });
    if (!response.ok)
      throw new DownloadError("the daemon does not know how it ended", undefined, await refusalOf(response));
    const result = parseWire<DownloadResult>(await response.text());
    if (result.state !== "running" || Date.now() > until) return result;
    await pause(RESULT_PAUSE_MS, signal);
  }
}

/** Rejects with a DownloadError unless the daemon has sent the whole snapshot, and we have all of it. */
async function checkEnd(
  ask: DaemonFetch,
  id: string,
  received: number,
  signal: AbortSignal | undefined,
): Promise<void> {
  const { state, bytes, reason, message } = await resultOf(ask, id, signal);
  if (state !== "complete") throw new DownloadError(`the download failed: ${message ?? state}`, reason);
  if (bytes === undefined || bytes === received) return;
  throw new DownloadError(`the download is cut short: ${received} of ${bytes} bytes came`, undefined);
}

/**
 * Downloads a snapshot. The stream ends only if it is whole: else it fails with a DownloadError. Rejects
 * before its first byte with a NoAnswerError, whose status and text are those of docs/api.md.
 */
export async function openDownload(
  ask: DaemonFetch,
  query: Readonly<Record<string, string>>,
  signal: AbortSignal | undefined,
): Promise<ReadableStream<Uint8Array>> {
  const response = await ask(`/snapshots/download?${new URLSearchParams(query)}`, { signal: signal ?? null });
  if (!response.ok || !response.body) throw await refusalOf(response);
  const id = response.headers.get("x-download-id") ?? "";
  const reader = response.body.getReader();
  let received = 0;
  return new ReadableStream<Uint8Array>({
    async pull(controller) {
      const next = await reader.read().catch(async (error: unknown) => {
        signal?.throwIfAborted();
        // The daemon may know why the connection ended.
        await checkEnd(ask, id, received, signal);
        throw new DownloadError("the connection ended before the download did", undefined, error);
      });
      if (next.value) {
        received += next.value.byteLength;
        controller.enqueue(next.value);
        return;
      }
      await checkEnd(ask, id, received, signal);
      controller.close();
    },
    cancel: (reason) => reader.cancel(reason),
  });
}
