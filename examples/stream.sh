#!/bin/sh
# A stream with curl: one event for each token, as soon as it is there.
set -eu
url="${PRONTO_URL:-http://127.0.0.1:8080}/models/${PRONTO_MODEL:-demo/tiny-coder}"

# Without --no-buffer curl keeps the tokens back until it has many.
curl --silent --show-error --fail-with-body --no-buffer "$url" \
    -H "Authorization: Bearer $PRONTO_TOKEN" -H "Content-Type: application/json" \
    -d '{"inputs": "import os\n\ndef read_lines(path):\n", "parameters": {"max_new_tokens": 24}, "stream": true}'
