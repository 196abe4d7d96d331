"""Every POST that runs a model: who asks, what is asked, the line, and the answer. Knows no dialect and no model."""

import asyncio
import time
from collections.abc import AsyncGenerator, Mapping, Sequence
from typing import Any

from pronto.core.errors import ModelNotFound, ProntoError
from pronto.core.events import Step
from pronto.core.identity import Caller
from pronto.core.media import media_in
from pronto.core.plan import Standing
from pronto.core.request import InferenceRequest
from pronto.core.tasks import MEDIA_TASKS, Task
from pronto.edge.authenticate import authenticate
from pronto.edge.body import Receive, Send, read_body
from pronto.edge.errors import ClientLeft, internal, too_large
from pronto.edge.idempotency import HEADER, REPLAYED, Recording, Repeats, is_final, repeatable
from pronto.edge.media_input import MediaInput, names_urls
from pronto.edge.ports import Rooms
from pronto.edge.routes import Match
from pronto.edge.running import Running
from pronto.edge.spool import Kept, Uploads
from pronto.edge.streaming import Outcome, Stream, Wire, collect, send_whole
from pronto.gateway.several import serve_several
from pronto.observe import logger
from pronto.store.base import KeptAnswer
from pronto.wire.base import Call, Dialect, Headers, Raw
from pronto.wire.body_shape import is_chat
from pronto.wire.faults import fault
from pronto.wire.limits import limit_headers, openai_headers

log = logger("edge")

# Clients post a conversation to the very address that they were given as a model.
_OPEN_TO_CHAT = ("hf", "tgi-root")
_CHATTING = (Task.TEXT_GENERATION, Task.IMAGE_TEXT_TO_TEXT)
_CHATS = frozenset({"openai-chat", "anthropic", "ollama"})  # dialects whose messages may have images


def _is_open_to_chat(raw: Raw) -> bool:
    return raw.route in _OPEN_TO_CHAT and raw.task in _CHATTING


class Exchange:
    """One request and its way back, with what the log tells of it."""

    # fmt: off
    __slots__ = (
        "account", "account_id", "began", "error", "extra", "headers", "is_carried_on", "match", "model", "outcome",
        "receive", "request_id", "send", "since", "status", "upload", "uploads",
    )
    # fmt: on

    def __init__(
        self, match: Match, headers: dict[str, str], request_id: str, extra: Headers, wire: tuple[Receive, Send]
    ) -> None:
        self.match, self.headers, self.request_id, self.extra = match, headers, request_id, extra
        self.receive, self.send = wire
        self.began = time.perf_counter()
        self.since = time.time()
        self.account, self.account_id = "", 0
        self.model = match.model
        self.status = 0
        self.error: ProntoError | None = None  # instead of an answer
        self.outcome = Outcome()
        self.is_carried_on = False
        self.uploads: Uploads | None = None  # files that are held until the answer is over
        self.upload: Kept | None = None  # the body, where it is one of them

    @property
    def is_started(self) -> bool:
        return self.outcome.is_started

    @property
    def failure(self) -> ProntoError | None:
        """How it ended, if not well."""
        return self.error or self.outcome.error

    def limits(self, standings: Sequence[Standing]) -> Headers:
        """The headers that tell how the caller's windows stand."""
        headers = limit_headers(standings)
        return headers + openai_headers(standings) if "/v1/" in self.match.route.path else headers


class Inference:
    """The one handler of all inference routes."""

    def __init__(self, rooms: Rooms, dialects: Mapping[str, Dialect]) -> None:
        self._gateway, self._authenticator, self._dialects = rooms.gateway, rooms.authenticator, dialects
        self._conversations = rooms.conversations
        self._metrics, self.running = rooms.metrics, Running()
        self._watchers = self.running.watchers
        settings = rooms.settings
        account_bytes = settings.account_answers_mb * 2**20
        self._repeats = Repeats(rooms.answers, ttl=settings.idempotency_ttl, account_bytes=account_bytes, now=time.time)
        self._media = MediaInput(settings)
        self._max_body = settings.max_body_kb * 1000
        self._max_media = max(self._max_body, settings.max_media_mb * 1_000_000)
        self._body_timeout = settings.body_timeout
        self._keep_alive = settings.sse_keep_alive
        self._logged = settings.log_requests

    async def serve(self, exchange: Exchange) -> None:
        """Answer one request, whatever happens."""
        self._metrics.asked()
        dialect = self._dialects[exchange.match.route.dialect or "hf"]
        try:
            caller = await authenticate(self._authenticator, exchange.headers, exchange.match.route.takes_api_key)
            exchange.account, exchange.account_id = caller.account, caller.account_id
            if exchange.match.model is not None:
                await self._gateway.find(caller, exchange.match.model)
            raw = await self._read(exchange)
            if _is_open_to_chat(raw) and is_chat(raw.body):
                dialect = self._dialects["openai-chat"]
            if HEADER in exchange.headers:
                await self._answer_once(exchange, dialect, caller, raw)
            else:
                await self._answer(exchange, dialect, caller, raw)
        except ProntoError as error:
            await self._refuse(exchange, dialect, error)
        except ClientLeft:
            self._finish(exchange, "dropped")
        except Exception as error:
            await self._refuse(exchange, dialect, internal(error, exchange.request_id))
        finally:
            if exchange.uploads is not None:
                exchange.uploads.close()

    async def _read(self, exchange: Exchange) -> Raw:
        match, models = exchange.match, self._gateway.models
        model = match.model or self._default(match)
        own_task = models.task_of(model) if match.route.dialect == "hf" else None
        task = match.task or own_task or models.task_of(model)
        body = b""
        if self._may_bring_media(exchange, task):
            exchange.uploads = Uploads(self._media.spool)
            read = await self._media.read(exchange.receive, exchange.headers, self._max_media, exchange.uploads)
            if isinstance(read, Kept):
                exchange.upload = read
            else:
                body = read
        else:
            body = await read_body(exchange.receive, exchange.headers, self._max_body, self._body_timeout)
        return Raw(
            request_id=exchange.request_id,
            route=match.route.name,
            task=task,
            own_task=own_task,
            model=model,
            is_named=match.model is not None,
            headers=exchange.headers,
            body=body,
            now=int(time.time()),
        )

    def _may_bring_media(self, exchange: Exchange, task: Task) -> bool:
        """Also of conversations, where a model is there that sees."""
        if task in MEDIA_TASKS:
            return True
        return exchange.match.route.dialect in _CHATS and self._gateway.models.sees_images()

    async def _decode(
        self, exchange: Exchange, dialect: Dialect, caller: Caller, raw: Raw, uploads: Uploads
    ) -> tuple[Dialect, Call]:
        """A body that may hold files, or be one, or name URLs. Raises TooLarge for a long text without any."""
        used = [dialect]

        def decode(whole: Raw) -> Call:
            if _is_open_to_chat(whole) and is_chat(whole.body):
                used[0] = self._dialects["openai-chat"]
            return used[0].decode(whole)

        call = await self._media.decode(decode, raw, exchange.upload, uploads)
        size = exchange.upload.size if exchange.upload is not None else len(raw.body)
        if size > self._max_body and not media_in(call.request.work):
            raise too_large(self._max_body)
        if names_urls(call):
            # Whoever may not ask this, or not now, has nothing fetched for it.
            async with self._gateway.room(caller, call.request):
                call = await self._media.fetched(call, uploads)
        return used[0], call

    def _default(self, match: Match) -> str:
        try:
            return self._gateway.models.default(match.task)
        except ModelNotFound:
            if not match.route.reads_model:
                raise
            return ""

    async def _answer_once(self, exchange: Exchange, dialect: Dialect, caller: Caller, raw: Raw) -> None:
        """The answer that is kept for the request's key, or a new one that will be."""
        target = (exchange.match.route.path, raw.model, raw.task)
        body = raw.body if exchange.upload is None else exchange.upload.digest.encode()
        asked = repeatable(caller, target, exchange.headers, body)
        kept = await self._repeats.enter(asked)
        if kept is not None:
            await self._replay(exchange, kept)
            return

        async def keep(recording: Recording) -> None:
            if recording.is_whole and is_final(exchange.failure):
                await self._repeats.keep(asked, recording)

        exchange.send = Recording(exchange.send, exchange.extra, keep).send
        exchange.is_carried_on = True  # so that whoever lost the connection finds it
        try:
            await self._answer(exchange, dialect, caller, raw)
        except ProntoError as error:
            await self._refuse(exchange, dialect, error)
        except Exception as error:
            await self._refuse(exchange, dialect, internal(error, exchange.request_id))
        finally:
            self._repeats.leave(asked)

    async def _replay(self, exchange: Exchange, kept: KeptAnswer) -> None:
        exchange.status = kept.status
        headers = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in kept.headers]
        await send_whole(exchange.send, kept.status, [*headers, REPLAYED, *exchange.extra], kept.body)
        self._metrics.responded(kept.status)
        if self._logged == "all":
            self._log(exchange, "replayed", time.perf_counter() - exchange.began)

    async def _answer(self, exchange: Exchange, dialect: Dialect, caller: Caller, raw: Raw) -> None:
        if exchange.uploads is None:
            call = dialect.decode(raw)
        else:
            dialect, call = await self._decode(exchange, dialect, caller, raw, exchange.uploads)
        exchange.model = call.request.model
        encoder, outcome = dialect.encoder(call), exchange.outcome
        events = self._events(caller, call)
        watch = self._watchers.watch(exchange)
        try:
            if encoder.streams:
                wire = Wire(exchange.send, exchange.extra, exchange.limits)
                stream = Stream(wire, encoder, exchange.request_id, self._keep_alive)
                stream.outcome = outcome
                await stream.pump(events, watch)
                exchange.status = 200
            else:
                body = await collect(events, encoder, outcome)
                watch.stop()  # what is whole is not cut off
                exchange.status = 200
                headers = encoder.headers + outcome.headers + exchange.extra + exchange.limits(outcome.limits)
                await send_whole(exchange.send, 200, headers, body)
        except asyncio.CancelledError:
            if watch.client_left:
                raise ClientLeft from None
            stopped = watch.interruption()
            if stopped is None:
                raise
            raise stopped from None
        finally:
            watch.stop()
        self._account_for(exchange)

    def _events(self, caller: Caller, call: Call) -> AsyncGenerator[Step, None]:
        def serve(request: InferenceRequest) -> AsyncGenerator[Step, None]:
            return self._gateway.serve(caller, request)

        if call.turn is not None:
            return self._conversations.serve(serve, caller, call.request, call.turn)
        if call.more:
            return serve_several(serve, (call.request, *call.more))
        return serve(call.request)

    async def _refuse(self, exchange: Exchange, dialect: Dialect, error: ProntoError) -> None:
        response = dialect.encode_error(error, exchange.headers)
        exchange.status, exchange.error = response.status, error
        self._finish(exchange, fault(error).error_type)
        await send_whole(exchange.send, response.status, response.headers + exchange.extra, response.body)

    def _account_for(self, exchange: Exchange) -> None:
        outcome = exchange.outcome
        if outcome.error is not None or outcome.done is None:
            self._finish(exchange, fault(outcome.error).error_type if outcome.error else "incomplete")
            return
        seconds = time.perf_counter() - exchange.began
        self._metrics.answered(seconds, outcome.done, is_cached=outcome.is_cached)
        if outcome.first_token is not None:
            self._metrics.first_token(outcome.first_token)
        self._metrics.responded(200)
        if self._logged == "all":
            self._log(exchange, "answered", seconds)

    def _finish(self, exchange: Exchange, error_type: str) -> None:
        self._metrics.failed(error_type)
        if exchange.status:
            self._metrics.responded(exchange.status)
        if self._logged != "none":
            self._log(exchange, error_type, time.perf_counter() - exchange.began)

    def _log(self, exchange: Exchange, end: str, seconds: float) -> None:
        facts: dict[str, Any] = {
            "request_id": exchange.request_id,
            "route": exchange.match.route.path,
            "model": exchange.model,
            "account": exchange.account,
            "status": exchange.status,
            "end": end,
            "ms": round(seconds * 1000, 1),
        }
        log.info("request", **facts)
