/** The part of autocannon that the suite uses; the package has no declarations of its own. */
declare module "autocannon" {
  interface Options {
    readonly url: string;
    readonly method: "POST";
    readonly headers: Readonly<Record<string, string>>;
    readonly body: string;
    readonly expectBody: string;
    readonly amount: number;
    readonly connections: number;
  }

  interface Result {
    readonly "2xx": number;
    readonly non2xx: number;
    readonly errors: number;
    readonly timeouts: number;
    readonly mismatches: number;
  }

  export default function autocannon(options: Options): Promise<Result>;
}
