/** The part of autocannon that the suite and the benches use; the package has no declarations of its own. */
declare module "autocannon" {
  import type { EventEmitter } from "node:events";

  interface Options {
    readonly url: string;
    readonly method: "POST";
    readonly headers: Readonly<Record<string, string>>;
    readonly body: string;
    readonly expectBody: string;
    readonly connections: number;
    /** Requests in all. */
    readonly amount?: number;
    /** Seconds, where there is no amount. */
    readonly duration?: number;
  }

  interface Result {
    readonly "2xx": number;
    readonly non2xx: number;
    readonly errors: number;
    readonly timeouts: number;
    readonly mismatches: number;
    /** Seconds, as it took. */
    readonly duration: number;
  }

  export default function autocannon(options: Options): Promise<Result>;
  export default function autocannon(
    options: Options,
    done: (error: Error | null, result: Result) => void,
  ): EventEmitter;
}
