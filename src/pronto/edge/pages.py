"""Pages for people: what the server offers, in one self-contained document. Knows no request for inference."""

from collections.abc import Awaitable, Callable
from html import escape
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from pronto.edge import openapi
from pronto.settings import Settings

Handler = Callable[[Request], Awaitable[Response]]

# No script and nothing from elsewhere: the page works offline, and has nothing to attack.
POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 52rem; margin: 2rem auto; padding: 0 1rem; color: #222; }
code, pre { font: 14px/1.5 ui-monospace, monospace; }
pre { background: #f4f4f2; padding: 1rem; overflow-x: auto; border-radius: 6px; }
table { border-collapse: collapse; width: 100%; } td, th { text-align: left; padding: .3rem .8rem .3rem 0; }
th, td { border-bottom: 1px solid #ddd; vertical-align: top; } .method { font-weight: 600; }
@media (prefers-color-scheme: dark) {
  body { background: #1b1b1d; color: #ddd; } pre { background: #28282b; } th, td { border-color: #444; }
}
"""


class Pages:
    """Everything is rendered once: it changes with the program only."""

    def __init__(self, settings: Settings) -> None:
        address = settings.public_url or f"http://{settings.host}:{settings.port}"
        description = openapi.document()
        self._json = openapi.render().encode()
        self._html = _page(description, address).encode()

    async def docs(self, _: Request) -> Response:
        headers = {"content-type": "text/html; charset=utf-8", "content-security-policy": POLICY}
        return Response(self._html, headers=headers)

    async def openapi(self, _: Request) -> Response:
        return Response(self._json, headers={"content-type": "application/json"})

    def or_for_browsers(self, handler: Handler) -> Handler:
        """A page for whoever asks for HTML, `handler` for everybody else."""

        async def choose(request: Request) -> Response:
            if "text/html" in request.headers.get("accept", ""):
                return await self.docs(request)
            return await handler(request)

        return choose


def _page(description: dict[str, Any], address: str) -> str:
    rows = "".join(
        f'<tr><td class="method">{method.upper()}</td><td><code>{escape(path)}</code></td>'
        f"<td>{escape(operation['summary'])}</td></tr>"
        for path, operations in description["paths"].items()
        for method, operation in operations.items()
    )
    fields = "".join(
        f"<tr><td><code>{escape(name)}</code></td><td>{escape(_kind(schema))}</td></tr>"
        for name, schema in description["components"]["schemas"]["Parameters"]["properties"].items()
        if name != "parameters"
    )
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>Pronto</title><style>{STYLE}</style></head><body>
<h1>Pronto {escape(description["info"]["version"])}</h1>
<p>{escape(description["info"]["description"])} The full description is at
<a href="/openapi.json">/openapi.json</a>, the models are at <a href="/models">/models</a>.</p>
<h2>Try it</h2>
<pre>curl {escape(address)}/models/MODEL \\
  -H "Authorization: Bearer $TOKEN" -H "Content-Type: application/json" \\
  -d '{{"inputs": "def hello(name):", "parameters": {{"max_new_tokens": 50}}}}'</pre>
<h2>Routes</h2><table><tr><th>Method</th><th>Path</th><th></th></tr>{rows}</table>
<h2>Parameters of text generation</h2><table><tr><th>Name</th><th>Type</th></tr>{fields}</table>
</body></html>
"""


def _kind(schema: dict[str, Any]) -> str:
    options = schema.get("anyOf", [schema])
    names = [option.get("type") or option.get("$ref", "").rpartition("/")[2] for option in options]
    return " or ".join(name for name in names if name != "null") or "any"
