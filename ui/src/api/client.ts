import type { Answers } from "./records.ts";

/** Why a request was not done, as data of JSON-RPC 2.0 or as an HTTP status. */
export interface Failure {
  /** A stable word of docs/api.md, or `http.STATUS`, `rpc.CODE`, `network`. */
  readonly reason: string;
  readonly message: string;
}

export type Outcome<Value> =
  | { readonly ok: true; readonly value: Value }
  | { readonly ok: false; readonly failure: Failure };

export interface Client {
  /** Calls a method. Fails: the reasons of docs/api.md; network; http.STATUS. */
  call<Method extends keyof Answers>(method: Method, params: object): Promise<Outcome<Answers[Method]>>;
  /** Has a method run in the background. Fails as call. */
  begin(method: keyof Answers, params: object): Promise<Outcome<Answers["WaitJob"]>>;
  /** Gets a path. A status from 400 on is a failure with the text of the reply. */
  get(path: string, options?: GetOptions): Promise<Outcome<Response>>;
}

export interface GetOptions {
  readonly headers?: Readonly<Record<string, string>>;
  readonly signal?: AbortSignal;
  /** A status that is no failure, although it is 400 or more. */
  readonly expect?: number;
}

interface ClientOptions {
  /** "" where none is known. */
  token(): string;
  /** The daemon wants a token, or another one. */
  onUnauthorized(why: string): void;
}

function failed(reason: string, message: string): { readonly ok: false; readonly failure: Failure } {
  return { ok: false, failure: { reason, message } };
}

interface RpcReply {
  readonly result?: unknown;
  readonly error?: {
    readonly code: number;
    readonly message: string;
    readonly data?: { readonly reason?: string };
  };
}

/** Calls the daemon that serves this page, and nothing else. */
export function createClient({ token, onUnauthorized }: ClientOptions): Client {
  async function send(path: string, init: RequestInit): Promise<Outcome<Response>> {
    const headers = new Headers(init.headers);
    if (token() !== "") headers.set("Authorization", `Bearer ${token()}`);
    try {
      return { ok: true, value: await fetch(path, { ...init, headers, cache: "no-store" }) };
    } catch (error) {
      if (init.signal?.aborted) return failed("aborted", "ended by you");
      return failed(
        "network",
        `the daemon does not answer: ${error instanceof Error ? error.message : error}`,
      );
    }
  }

  async function refusal(response: Response): Promise<Outcome<never>> {
    const text = (await response.text()).trim();
    if (response.status === 401) onUnauthorized(text);
    return failed(`http.${response.status}`, text || `status ${response.status}`);
  }

  async function post<Answer>(method: string, params: object): Promise<Outcome<Answer>> {
    const body = JSON.stringify({ jsonrpc: "2.0", id: 1, method, params });
    const sent = await send("/rpc", {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body,
    });
    if (!sent.ok) return sent;
    if (!sent.value.ok) return refusal(sent.value);
    try {
      const { error, result }: RpcReply = await sent.value.json();
      if (error) return failed(error.data?.reason ?? `rpc.${error.code}`, error.message);
      // The daemon has the version of its page: its answers have the shapes of docs/api.md.
      return { ok: true, value: result as Answer };
    } catch {
      return failed("network", "the answer of the daemon was cut short");
    }
  }

  return {
    call: (method, params) => post(method, params),
    begin: (method, params) => post(method, { ...params, background: true }),
    get: async (path, { headers = {}, signal, expect } = {}) => {
      const sent = await send(path, { headers, ...(signal ? { signal } : {}) });
      if (!sent.ok || sent.value.ok || sent.value.status === expect) return sent;
      return refusal(sent.value);
    },
  };
}
