#!/bin/sh
# Makes a disk, takes a snapshot and downloads it, by JSON-RPC 2.0 and curl.
set -eu

url=${IMAGESTORE_URL:-http://127.0.0.1:19999}
file=$(mktemp)
trap 'rm -f "$file"' EXIT

# The token is no argument of curl: every user of the machine can see those.
config=${IMAGESTORE_TOKEN:+"header = \"Authorization: Bearer $IMAGESTORE_TOKEN\""}
ask() {
  printf '%s\n' "$config" | curl --silent --show-error --config - "$@"
}

# call METHOD PARAMS: prints the answer. A failure has the status 200 too: --fail does not see it.
call() {
  answer=$(ask --fail --header 'Content-Type: application/json' \
    --data "{\"jsonrpc\":\"2.0\",\"method\":\"$1\",\"params\":$2,\"id\":1}" "$url/rpc")
  case $answer in
    '{"jsonrpc":"2.0","result":'*) printf '%s\n' "$answer" ;;
    *) printf '%s: %s\n' "$1" "$answer" >&2 && return 1 ;;
  esac
}

call DeleteDataset '{"id":"guests/example-sh"}' 2>/dev/null || true
call CreateVolume '{"id":"guests/example-sh/disk-0","size":16}'
call CreateSnapshot '{"id":"guests/example-sh/disk-0","dest":"first"}'

# A download has a status of its own. That it is whole is told by its result.
id=$(ask --fail --output "$file" --dump-header - "$url/snapshots/download?id=guests/example-sh/disk-0@first" |
  sed -n 's/^x-download-id: *\([^[:cntrl:]]*\).*/\1/ip')
result=$(ask --fail "$url/snapshots/download/result?download=$id")
case $result in
  *'"state":"complete","bytes":'"$(wc -c <"$file" | tr -d ' ')}") printf 'downloaded %s\n' "$result" ;;
  *) printf 'not whole: %s\n' "$result" >&2 && exit 1 ;;
esac

call DeleteDataset '{"id":"guests/example-sh"}'
