// @ts-check
/** The build of uWebSockets.js that the daemon would take on this machine. */
export async function loadUws() {
  /** @type {typeof import("../../src/main/http/uws-builds.js")} */
  const builds = await import(new URL("../../compiled/main/http/uws-builds.js", import.meta.url).href);
  const { build, passedOver } = builds.loadUws();
  if (!build) throw new Error(`no uWebSockets.js loads: ${passedOver.join("; ")}`);
  return build.module;
}
