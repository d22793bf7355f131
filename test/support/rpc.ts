/** A 1.0 reply with its sizes as numbers: the tests that use it stay small. */
export interface Reply<T> {
  readonly result: T | null;
  readonly error: string | null;
}

export interface Volumes {
  readonly volumes: readonly { readonly id: string; readonly size: number; readonly device: string }[];
}

export interface Snapshots {
  readonly snapshots: readonly { readonly id: string; readonly size: number }[];
}

export interface Images {
  readonly images:
    | readonly { readonly id: string; readonly status: string; readonly volume?: string }[]
    | null;
}

/** Calls a method as an agent does. Rejects only when there is no HTTP reply. */
export async function call<T>(url: string, method: string, params: object): Promise<Reply<T>> {
  const response = await fetch(`${url}/_mistify_RPC_`, {
    method: "POST",
    // Tests block this process for longer than a server keeps an idle connection.
    headers: { "content-type": "application/json", connection: "close" },
    body: JSON.stringify({ method: `ImageStore.${method}`, params: [params], id: 1 }),
  });
  const text = await response.text();
  if (response.status !== 200) throw new Error(`${method}: HTTP ${response.status}: ${text}`);
  return JSON.parse(text) as Reply<T>;
}

/** Calls a method that must succeed. */
export async function must<T>(url: string, method: string, params: object): Promise<T> {
  const { result, error } = await call<T>(url, method, params);
  if (error !== null || result === null) throw new Error(`${method} ${JSON.stringify(params)}: ${error}`);
  return result;
}
