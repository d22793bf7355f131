import type { Config } from "./config/schema.js";
import type { OpenDoors } from "./open-streaming.js";
import { ownVersion } from "./own-version.js";
import type { Tracing, TracingOptions } from "./tracing/tracing.js";

/** Starts the traces that the configuration asks for. Without them, nothing of their code is loaded. */
export async function openTracing(
  { tracing }: Pick<Config, "tracing">,
  options: Omit<TracingOptions, "version">,
): Promise<Tracing | undefined> {
  if (!tracing) return undefined;
  const { startTracing } = await import("./tracing/tracing.js");
  return startTracing(tracing, { ...options, version: ownVersion() });
}

/** The same doors; the requests that come by them are traced where `tracing` is there. */
export function tracedDoors(open: OpenDoors, tracing: Tracing | undefined): OpenDoors {
  if (!tracing) return open;
  return (main, bulk) => open({ ...main, handle: tracing.traced(main.handle) }, tracing.traced(bulk));
}
