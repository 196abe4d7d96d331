#!/bin/sh
# Text generation with curl: an answer, an answer with its details, a stream.
set -eu
url="${PRONTO_URL:-http://127.0.0.1:8080}/models/${PRONTO_MODEL:-demo/tiny-coder}"

ask() {
    curl --silent --show-error --fail-with-body --no-buffer "$url" \
        -H "Authorization: Bearer $PRONTO_TOKEN" -H "Content-Type: application/json" -d "$1"
    echo
}

echo "An answer:"
ask '{"inputs": "def remove_non_ascii(s: str) -> str:", "parameters": {"max_new_tokens": 8}}'

echo "An answer with its token ids, and without the prompt:"
ask '{"inputs": "def remove_non_ascii(s: str) -> str:", "parameters": {"max_new_tokens": 8, "details": true, "return_full_text": false}}'

echo "A stream:"
ask '{"inputs": "def remove_non_ascii(s: str) -> str:", "parameters": {"max_new_tokens": 8}, "stream": true}'
