#!/bin/sh
exec /usr/lib/imagestore/bin/node /usr/lib/imagestore/dist/main/cli.js "$@"
