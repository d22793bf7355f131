import type { Job } from "../../../client/api-records.js";
import { readJson, tokenOf } from "../../../protocol/json-rpc/json.js";
import { ageText, printable, sizeText } from "../../diagnosis/text-layout.js";
import { barText } from "../terminal/bar.js";
import { CallFailure, EXIT, statusOfFailure } from "./call-failure.js";
import type { DaemonAddress } from "./daemon-address.js";
import { type CallResult, callDaemon } from "./daemon-client.js";

/** What is shown of a job. */
export type ShownJob = Pick<
  Job,
  "id" | "state" | "phase" | "bytes" | "totalBytes" | "bytesPerSecond" | "etaSeconds" | "failure"
>;

const UNENDED: readonly string[] = ["queued", "running"];
/** So often the terminal is written anew, and Ctrl-C is looked for. */
const LOOK_MS = 300;
const CLEAR_LINE = "\r\x1b[K";

/** `[=====               ] 25 %, 1.0 GiB of 4.0 GiB, 80.0 MiB/s, 38.4 s left`, or what of it is known. */
export function progressText({ state, phase, bytes, totalBytes, ...job }: ShownJob): string {
  if (bytes === 0) return printable(phase ?? state);
  const { bytesPerSecond, etaSeconds } = job;
  const share = totalBytes === null || totalBytes === 0 ? undefined : Math.min(1, bytes / totalBytes);
  return [
    ...(share === undefined ? [] : [`${barText(share)} ${Math.floor(share * 100)} %`]),
    totalBytes === null ? sizeText(bytes) : `${sizeText(bytes)} of ${sizeText(totalBytes)}`,
    ...(bytesPerSecond === null ? [] : [`${sizeText(Math.round(bytesPerSecond))}/s`]),
    ...(etaSeconds === null ? [] : [`${ageText(etaSeconds * 1000)} left`]),
  ].join(", ");
}

/** The job in an answer about one, which is the daemon's own: it has the shape of docs/api.md. */
function jobIn({ text }: CallResult): ShownJob {
  const { jobs }: { readonly jobs?: readonly ShownJob[] } = JSON.parse(text);
  const [job] = jobs ?? [];
  if (job) return job;
  throw new CallFailure("the daemon tells of no job", EXIT.other);
}

/** What the method has answered, out of the answer about its job that is done. */
function resultIn({ text }: CallResult): CallResult {
  const read = readJson(text);
  const root = "problem" in read ? undefined : read.value;
  const job = root?.items[root.keys.indexOf("jobs")]?.items[0];
  const result = job?.items[job.keys.indexOf("result")];
  const ofMethod = result ? tokenOf(result) : "null";
  return { value: JSON.parse(ofMethod), text: ofMethod };
}

/** Counts the Ctrl-C until it is closed. The second one ends the process. */
function watchInterrupts(): { asked(): boolean; close(): void } {
  let isAsked = false;
  const onInterrupt = () => {
    if (isAsked) process.exit(EXIT.interrupted);
    isAsked = true;
  };
  process.on("SIGINT", onInterrupt);
  return { asked: () => isAsked, close: () => void process.off("SIGINT", onInterrupt) };
}

/**
 * Calls a method as callDaemon does, as a job whose progress is shown on stderr, a terminal. Ctrl-C cancels the
 * job; a second one leaves it. Should the daemon stop answering, the job goes on there.
 */
export async function callShown(address: DaemonAddress, method: string, params: object): Promise<CallResult> {
  const interrupts = watchInterrupts();
  /** Whether CancelJob was called. */
  let isCancelled = false;
  try {
    let answer = await callDaemon(address, method, { ...params, background: true });
    for (;;) {
      const job = jobIn(answer);
      const { id } = job;
      if (job.state === "done") return resultIn(answer);
      if (!UNENDED.includes(job.state)) {
        const { code, message } = job.failure ?? { code: "", message: job.state };
        throw new CallFailure(message, isCancelled ? EXIT.interrupted : statusOfFailure(code));
      }
      process.stderr.write(`${CLEAR_LINE}${interrupts.asked() ? "cancelling" : progressText(job)}`);
      if (interrupts.asked() && !isCancelled) {
        isCancelled = true;
        answer = await callDaemon(address, "CancelJob", { id });
      } else answer = await callDaemon(address, "WaitJob", { id, timeoutMs: LOOK_MS });
    }
  } finally {
    process.stderr.write(CLEAR_LINE);
    interrupts.close();
  }
}
