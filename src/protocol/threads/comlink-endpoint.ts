import type { MessagePort } from "node:worker_threads";
import type { Endpoint } from "comlink";

/** Lets comlink, which knows the browser's ports, speak over a port of node:worker_threads. */
export function comlinkEndpoint(port: MessagePort): Endpoint {
  type Listener = Parameters<Endpoint["addEventListener"]>[1];
  const adapted = new WeakMap<object, (data: unknown) => void>();
  return {
    postMessage: (message, transfer) => port.postMessage(message, (transfer ?? []) as ArrayBuffer[]),
    addEventListener: (_type, listener: Listener) => {
      const handle = (data: unknown) => {
        const event = { data } as MessageEvent;
        if (typeof listener === "function") listener(event);
        else listener.handleEvent(event);
      };
      adapted.set(listener, handle);
      port.on("message", handle);
    },
    removeEventListener: (_type, listener: Listener) => {
      const handle = adapted.get(listener);
      if (handle) port.off("message", handle);
    },
    start: () => port.start(),
  };
}
