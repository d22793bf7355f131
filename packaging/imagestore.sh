#!/bin/sh
# The flag is that of the first line of cli.js.
exec /usr/lib/imagestore/bin/node --max-semi-space-size=16 /usr/lib/imagestore/dist/main/cli.js "$@"
