#!/bin/sh
# The same request twice gives the kept answer; with `x-use-cache: 0` it is answered anew.
set -eu
url="${PRONTO_URL:-http://127.0.0.1:8080}/models/${PRONTO_MODEL:-demo/tiny-coder}"
body='{"inputs": "def add(a, b):\n", "parameters": {"max_new_tokens": 12, "do_sample": true, "temperature": 0.9}}'

# Prints the answer, and before it whether it was computed (cpu, gpu) or kept (cache).
ask() {
    curl --silent --show-error --fail-with-body --dump-header - "$url" "$@" \
        -H "Authorization: Bearer $PRONTO_TOKEN" -H "Content-Type: application/json" -d "$body" |
        grep -i -e '^x-compute-type:' -e '^\['
    echo
}

ask
ask
ask -H "x-use-cache: 0"
