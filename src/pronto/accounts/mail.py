"""Sends mail by SMTP, behind a queue, so that no page waits for a mail server. Knows no account and no template."""

import asyncio
import smtplib
import ssl
from email.headerregistry import Address
from email.message import EmailMessage
from email.utils import formatdate, make_msgid

import msgspec

from pronto.observe import logger
from pronto.settings import Settings

MOST_WAITING = 100
TRIES = 3
PAUSE = 5.0  # seconds before the second try; each further one waits twice as long
TIMEOUT = 15.0  # seconds of one exchange with the server

log = logger("mail")


class Letter(msgspec.Struct, frozen=True):
    """One mail in plain text."""

    to: str
    subject: str
    text: str


class Mail:
    """Without a server in the settings nothing is sent: `is_on` says so, and links are shown instead."""

    def __init__(self, settings: Settings, pause: float = PAUSE) -> None:
        self._settings, self._pause = settings, pause
        self._waiting: asyncio.Queue[Letter] = asyncio.Queue(MOST_WAITING)

    @property
    def is_on(self) -> bool:
        return self._settings.smtp_host is not None

    def post(self, letter: Letter) -> bool:
        """Into the queue; False when there is no server, or too many wait."""
        if not self.is_on:
            return False
        try:
            self._waiting.put_nowait(letter)
        except asyncio.QueueFull:
            log.error("a mail was not taken: too many wait")
            return False
        return True

    async def run(self) -> None:
        """Send what is posted, until cancelled."""
        while True:
            letter = await self._waiting.get()
            for attempt in range(1, TRIES + 1):
                try:
                    await asyncio.to_thread(self._send, letter)
                    break
                except Exception as error:  # whatever a mail server says, the next letter is sent
                    log.error("a mail could not be sent", attempt=attempt, of=TRIES, reason=type(error).__name__)
                    if attempt < TRIES:
                        await asyncio.sleep(self._pause * 2 ** (attempt - 1))

    def _send(self, letter: Letter) -> None:
        settings = self._settings
        assert settings.smtp_host is not None  # nothing is posted without
        with self._connect(settings.smtp_host, settings.smtp_port) as server:
            if settings.smtp_security == "starttls":
                server.starttls(context=ssl.create_default_context())
            if settings.smtp_user:
                server.login(settings.smtp_user, settings.smtp_password or "")
            server.send_message(self._message(letter))

    def _connect(self, host: str, port: int) -> smtplib.SMTP:
        if self._settings.smtp_security == "tls":
            return smtplib.SMTP_SSL(host, port, timeout=TIMEOUT, context=ssl.create_default_context())
        return smtplib.SMTP(host, port, timeout=TIMEOUT)

    def _message(self, letter: Letter) -> EmailMessage:
        sender = self._settings.mail_from or "pronto@localhost"
        message = EmailMessage()
        # The library refuses line breaks in headers.
        message["From"], message["Subject"] = sender, letter.subject
        message["To"] = Address(addr_spec=letter.to)  # one address, whatever is in it
        message["Date"], message["Message-ID"] = formatdate(), make_msgid(domain=sender.rpartition("@")[2] or None)
        message["Auto-Submitted"] = "auto-generated"
        message.set_content(letter.text)
        return message
