import type { MessagePort } from "node:worker_threads";
import type { Endpoint } from "comlink";

/** Adapts a port of node:worker_threads to comlink, which expects the browser's message ports. */
export function comlinkEndpoint(port: MessagePort): Endpoint {
  type Listener = Parameters<Endpoint["addEventListener"]>[1];
  const handlers = new WeakMap<object, (data: unknown) => void>();
  return {
    postMessage: (message, transfer) => port.postMessage(message, transfer),
    addEventListener: (_type, listener: Listener) => {
      const handle = (data: unknown) => {
        const event = new MessageEvent("message", { data });
        if (typeof listener === "function") listener(event);
        else listener.handleEvent(event);
      };
      handlers.set(listener, handle);
      port.on("message", handle);
    },
    removeEventListener: (_type, listener: Listener) => {
      const handle = handlers.get(listener);
      if (handle) port.off("message", handle);
    },
    start: () => port.start(),
  };
}
