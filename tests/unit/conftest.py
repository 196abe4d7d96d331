"""Unit tests are pure: no network, not even the loopback."""

import pytest
from pytest_socket import disable_socket, enable_socket


@pytest.fixture(autouse=True)
def _no_network():
    # asyncio's own loop needs a socketpair, which is a Unix socket.
    disable_socket(allow_unix_socket=True)
    yield
    enable_socket()
