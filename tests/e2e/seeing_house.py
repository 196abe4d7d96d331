"""A server with two models that see, a ViT and a Qwen2-VL, and one that does not; both are loaded when it is up."""

import json
import subprocess
import sys
import time
from pathlib import Path

from tests.e2e.http import get
from tests.e2e.server import Server, make_account

VIT, CHAT, BLIND = "tiny/vit", "tiny/sees", "tiny/blind"
SETTINGS = {"PRONTO_UPLOADS_MB": "24", "PRONTO_MAX_MEDIA_MB": "8", "PRONTO_FETCH_HOSTS": '["localhost"]'}
_BUILD = """
import sys
from pathlib import Path
from tests import tiny_vision, tiny_vlm
tiny_vision.build("vit", Path(sys.argv[1]) / "vit")
tiny_vlm.build("qwen2_vl", Path(sys.argv[1]) / "qwen2_vl")
"""


def entry(id: str, task: str, engine: str, folder: Path) -> str:
    text = f'[[models]]\nid = "{id}"\ntask = "{task}"\nengine = "{engine}"\nfolder = "{folder}"\n'
    return text if id == BLIND else f"{text}preload = true\n"


def open_seeing(models: Path, data: Path, tiny_llama: Path) -> Server:
    """`left` says what a crash had left among the uploads, once the server is up."""
    # In a process of its own, so that torch stays out of this one.
    subprocess.run([sys.executable, "-c", _BUILD, str(models)], check=True, capture_output=True, timeout=200)
    entries = (
        entry(VIT, "image-classification", "pipelines-vision", models / "vit"),
        entry(CHAT, "image-text-to-text", "transformers-vlm", models / "qwen2_vl"),
        entry(BLIND, "text-generation", "echo", tiny_llama),
    )
    (data / "catalog.toml").write_text(f'default = "{CHAT}"\n' + "".join(entries))
    uploads = data / "run" / "uploads"
    uploads.mkdir(parents=True)
    (uploads / "left-by-a-crash").write_bytes(b"x" * 1000)
    token = make_account(data, "alice")
    server = Server(data, env=SETTINGS)
    server.token, server.uploads = token, uploads
    server.left = list(uploads.iterdir()) if uploads.exists() else []
    try:
        _wait(server, time.monotonic() + 250)
    except BaseException:
        server.stop()
        raise
    return server


def _wait(server: Server, deadline: float) -> None:
    for model in (VIT, CHAT):
        while not json.loads(get(server.url, f"/status/{model}")[1])["loaded"]:
            assert time.monotonic() < deadline, server.log.read_text()[-3000:]
            time.sleep(0.2)


def is_left_empty(folder: Path, seconds: float = 3.0) -> bool:
    """A file goes when its request is over, which is a moment after its answer is here."""
    deadline = time.monotonic() + seconds
    while list(folder.iterdir()) and time.monotonic() < deadline:
        time.sleep(0.01)
    return not list(folder.iterdir())
