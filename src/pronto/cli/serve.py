"""`pronto serve`: starts the server, tells where it is, and stops it in order."""

import asyncio
import signal
import socket
from collections.abc import Coroutine, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

from pronto.cli.frame import read_settings
from pronto.settings import Settings

app = typer.Typer(add_completion=False)


@app.command()
def serve(
    config: Annotated[Path | None, typer.Option(help="A settings file; default: pronto.toml here, if there.")] = None,
    host: Annotated[str | None, typer.Option(help="Address to listen on.")] = None,
    port: Annotated[int | None, typer.Option(help="Port to listen on; 0 takes a free one.")] = None,
    data_dir: Annotated[Path | None, typer.Option("--data-dir", help="Folder of the database and the models.")] = None,
    allow_anonymous: Annotated[
        bool | None, typer.Option("--allow-anonymous", help="Serve without tokens; on a loopback address only.")
    ] = None,
    insecure_http: Annotated[
        bool | None,
        typer.Option("--insecure-http", help="Let people sign in over plain http from other machines; for tests."),
    ] = None,
    first_run: Annotated[
        bool, typer.Option("--first-run", help="Make a demo model and a first account where there is none.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print what a program needs as one line of JSON.")] = False,
) -> None:
    """Start the server."""
    import uvloop

    from pronto.observe import configure_logging
    from pronto.store.lock import locked

    default = Path("pronto.toml")
    settings = read_settings(
        config or (default if default.is_file() else None),
        host=host,
        port=port,
        data_dir=data_dir,
        allow_anonymous=allow_anonymous,
        insecure_http=insecure_http,
    )
    configure_logging(settings.log_level, settings.log_format)
    with locked(settings.data_dir), _listening(settings) as listener:
        uvloop.run(_serve(settings, listener, first_run=first_run, as_json=as_json))


@contextmanager
def _listening(settings: Settings) -> Generator[socket.socket, None, None]:
    """A bound socket, so that a taken port is a clear sentence and port 0 is known."""
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((settings.host, settings.port))
    except OSError as error:
        listener.close()
        raise ValueError(
            f"cannot listen on {settings.host}:{settings.port} ({error.strerror}). "
            "Please stop what uses it, or choose another port with --port."
        ) from None
    try:
        yield listener
    finally:
        listener.close()


async def _serve(settings: Settings, listener: socket.socket, *, first_run: bool, as_json: bool) -> None:
    from pronto.app import open_app
    from pronto.cli.first_run import prepare_first_run, welcome

    made = await prepare_first_run(settings) if first_run else None
    signals = Signals()
    async with open_app(settings) as house:
        server = _server(house.http, settings)
        serving = asyncio.create_task(server.serve(sockets=[listener]))
        while not (server.started or serving.done()):  # noqa: ASYNC110  because uvicorn has no event for it
            await asyncio.sleep(0.002)
        _tell(settings, listener, as_json=as_json)
        greeting = asyncio.create_task(welcome(house, _url(settings, listener), made)) if made else None
        await _first_of(serving, signals.stop.wait())
        if greeting is not None:
            greeting.cancel()
        if not serving.done():
            await _first_of(asyncio.create_task(house.drain()), signals.hurry.wait())
            server.should_exit, server.force_exit = True, signals.hurry.is_set()
        await serving


class Signals:
    """The first SIGTERM or SIGINT asks for an orderly stop, the second one for a quick one."""

    def __init__(self) -> None:
        self.stop, self.hurry = asyncio.Event(), asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, self._hear)

    def _hear(self) -> None:
        (self.hurry if self.stop.is_set() else self.stop).set()


async def _first_of(task: "asyncio.Task[Any]", other: Coroutine[Any, Any, Any]) -> None:
    """Until one of them is over; `other` is then given up."""
    waiting = asyncio.create_task(other)
    await asyncio.wait({task, waiting}, return_when=asyncio.FIRST_COMPLETED)
    waiting.cancel()


def _server(http: Any, settings: Settings) -> Any:
    import uvicorn

    from pronto.edge.guard import server_config

    class Server(uvicorn.Server):
        """uvicorn without its own signal handlers: stopping has an order of its own here."""

        @contextmanager
        def capture_signals(self) -> Generator[None, None, None]:
            yield

    return Server(server_config(http, settings))


def _url(settings: Settings, listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    scheme = "https" if settings.tls_certificate else "http"
    return f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"


def _tell(settings: Settings, listener: socket.socket, *, as_json: bool) -> None:
    url = _url(settings, listener)
    if as_json:
        import json

        print(json.dumps({"url": url, "data_dir": str(settings.data_dir)}), flush=True)
    else:
        print(f"Pronto is listening on {url}", flush=True)
