#!/bin/sh
# JSON-RPC 1.0 as clients of mistify-agent send it: gorilla/rpc's json.EncodeClientRequest, by Go's net/http.
set -eu

url=${IMAGESTORE_URL:-http://127.0.0.1:19999}

# A client that can only be given a URL sends a token as the password of basic authentication. It is no
# argument of curl: every user of the machine can see those.
config=${IMAGESTORE_TOKEN:+"user = \"any:$IMAGESTORE_TOKEN\""}

# call METHOD PARAMS ID: prints the answer, which has result, error and id in this order.
call() {
  printf '%s\n' "$config" | curl --silent --show-error --fail --config - \
    --header 'User-Agent: Go-http-client/1.1' --header 'Accept:' --header 'Content-Type: application/json' \
    --data-binary "{\"method\":\"ImageStore.$1\",\"params\":[$2],\"id\":$3}" "$url/_mistify_RPC_"
}

# Go's ids have 63 bits, and come back digit for digit.
call CreateVolume '{"id":"guests/example-go","size":16}' 5577006791947779410
call GetVolume '{"id":"guests/example-go","size":0}' 8674665223082153551
# The error is a string, and the status is 200. Agents compare these words.
call GetSnapshot '{"id":"guests/example-go@none","dest":"","recursive":false,"destroyMoreRecent":false}' 15352856648520921629
call DeleteDataset '{"id":"guests/example-go","size":0}' 3916589616287113937
