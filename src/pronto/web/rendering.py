"""Templates to HTML. Everything is escaped; a name that a template uses and nobody gives is an error."""

import time
from functools import cache
from typing import Any

import jinja2
from markupsafe import Markup
from starlette.responses import Response

from pronto import __version__
from pronto.settings import Settings
from pronto.web import words
from pronto.web.assets import Assets
from pronto.web.visit import Visit

_INSECURE = (
    "This server is reached over plain http: passwords and tokens can be read on the way. "
    "Use https for everything but a test."
)


class View:
    """All templates, ready for use."""

    def __init__(self, settings: Settings, assets: Assets) -> None:
        self._settings, self._assets = settings, assets
        self._templates = _environment()

    def page(self, visit: Visit, template: str, status: int = 200, /, **values: Any) -> Response:
        """A page of its template. docs/web.md says what all templates have."""
        html = self._templates.get_template(template).render(
            {
                "asset": self._assets.url,
                "visit": visit,
                "account": visit.account,
                "address": self.address(visit),
                "notice": words.DONE.get(visit.query("done"), ""),
                "banner": _INSECURE if not visit.ground.is_trusted and self._settings.insecure_http else "",
                "form_token": lambda: _hidden(visit.form_token()),
                **values,
            }
        )
        return Response(html, status, {"content-type": "text/html; charset=utf-8"})

    def address(self, visit: Visit) -> str:
        """Where this server is, for commands and links; without a slash at its end."""
        if self._settings.public_url:
            return self._settings.public_url
        scheme, host = visit.request.scope["scheme"], visit.request.headers.get("host", "")
        return f"{scheme}://{host}"

    def warm_up(self) -> None:
        """Compile all templates, so that nobody waits for it."""
        for name in self._templates.list_templates():
            self._templates.get_template(name)


@cache
def _environment() -> jinja2.Environment:
    """One for the process: templates are compiled once."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("pronto.web"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    environment.globals.update(version=__version__, now=time.time)
    environment.filters.update(
        count=words.count,
        short=words.short,
        size=words.size,
        span=words.span,
        took=words.took,
        moment=words.moment,
        iso=words.iso,
        browser=words.browser,
    )
    return environment


def _hidden(token: str) -> Markup:
    return Markup('<input type="hidden" name="_form" value="{}">').format(token)
