#!/usr/bin/env python3
"""Makes a disk, takes a snapshot and downloads it, by JSON-RPC 2.0 and the standard library."""

import json
import os
import time
import urllib.error
import urllib.parse
import urllib.request

URL = os.environ.get("IMAGESTORE_URL", "http://127.0.0.1:19999")
TOKEN = os.environ.get("IMAGESTORE_TOKEN")
REPEATS = 4


class CallError(Exception):
    """A failure that the daemon has answered: branch on its reason, not on its message."""

    def __init__(self, error):
        super().__init__(error["message"])
        self.reason = error["data"]["reason"]
        self.retryable = error["data"]["retryable"]
        self.retry_after = error["data"].get("retryAfter", 1)


def open_url(path, body=None):
    headers = {"Content-Type": "application/json"} if body else {}
    if TOKEN:
        headers["Authorization"] = "Bearer " + TOKEN
    return urllib.request.urlopen(urllib.request.Request(URL + path, body, headers))


def call_once(method, params):
    body = json.dumps({"jsonrpc": "2.0", "method": method, "params": params, "id": 1})
    with open_url("/rpc", body.encode()) as reply:
        answer = json.load(reply)
    # The status is 200 for failures too.
    if "error" in answer:
        raise CallError(answer["error"])
    return answer["result"]


def call(method, params):
    """Repeats what was refused before anything was done. After service.interrupted and
    command.timed_out a change may have happened: the caller has to look."""
    for repeats in range(REPEATS + 1):
        try:
            return call_once(method, params)
        except CallError as error:
            is_open = error.reason in ("service.interrupted", "command.timed_out")
            if not error.retryable or is_open or repeats == REPEATS:
                raise
            time.sleep(error.retry_after)


def download(snapshot, path):
    """Writes a snapshot to a file. Raises unless all of it came."""
    with open_url("/snapshots/download?" + urllib.parse.urlencode({"id": snapshot})) as reply:
        download_id = reply.headers["X-Download-Id"]
        with open(path, "wb") as file:
            while chunk := reply.read(1 << 20):
                file.write(chunk)
    query = urllib.parse.urlencode({"download": download_id})
    state = "running"
    while state == "running":
        with open_url("/snapshots/download/result?" + query) as reply:
            result = json.load(reply)
        state = result["state"]
    size = os.path.getsize(path)
    if state != "complete" or result.get("bytes", size) != size:
        raise RuntimeError(f"{snapshot} did not come whole: {result}")
    return size


def remove(dataset):
    try:
        call("DeleteDataset", {"id": dataset})
    except CallError as error:
        if error.reason != "dataset.not_found":
            raise


def main():
    remove("guests/example-py")
    disk = call("CreateVolume", {"id": "guests/example-py/disk-0", "size": 16})["volumes"][0]
    print(f"made {disk['id']}, {disk['size']} MiB, at {disk['device']}")
    snapshot = call("CreateSnapshot", {"id": disk["id"], "dest": "first"})["snapshots"][0]
    path = "example-py.zfs"
    try:
        print(f"downloaded {snapshot['id']}, {download(snapshot['id'], path)} bytes")
    finally:
        os.path.exists(path) and os.remove(path)
    remove("guests/example-py")


if __name__ == "__main__":
    main()
