/** A 1.0 reply. Sizes are numbers, which is enough for small test disks. */
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

/** Calls a method as an agent does. Rejects if the HTTP status is not 200. */
export async function call<T>(url: string, method: string, params: object): Promise<Reply<T>> {
  const response = await fetch(`${url}/_mistify_RPC_`, {
    method: "POST",
    // Tests may block this process for so long that the server closes an idle connection.
    headers: { "content-type": "application/json", connection: "close" },
    body: JSON.stringify({ method: `ImageStore.${method}`, params: [params], id: 1 }),
  });
  const text = await response.text();
  if (response.status !== 200) throw new Error(`${method}: HTTP ${response.status}: ${text}`);
  return JSON.parse(text) as Reply<T>;
}

/** Calls a method and returns its result. Rejects if the call fails. */
export async function must<T>(url: string, method: string, params: object): Promise<T> {
  const { result, error } = await call<T>(url, method, params);
  if (error !== null || result === null) throw new Error(`${method} ${JSON.stringify(params)}: ${error}`);
  return result;
}
