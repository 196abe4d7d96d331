"""Logs in as a notebook does: the check behind `notebook_login` of 0.24, and `notebook_login` itself of 2.x.

Arguments: what to do (`check` or `notebook`), and for `check` a token. The server is HF_ENDPOINT's.
"""

import sys
import types

import huggingface_hub

what, token = sys.argv[1], sys.argv[-1]


def check():
    """What runs at a click on the button of the login form."""
    from huggingface_hub import _login

    if huggingface_hub.__version__.startswith("0."):
        _login._login(token, add_to_git_credential=False)
        print("okay:", _login._current_token_okay())
    else:
        _login._validate_and_save_token(token, add_to_git_credential=False)
        print("okay:", huggingface_hub.whoami()["name"])


def notebook():
    """In a notebook whose cells are lines on standard output."""
    cells = types.ModuleType("IPython.display")
    cells.HTML = str
    cells.display = lambda cell: print(cell, flush=True)
    sys.modules["IPython"] = types.ModuleType("IPython")
    sys.modules["IPython.display"] = cells
    huggingface_hub.notebook_login()
    print("okay:", huggingface_hub.whoami()["name"])


{"check": check, "notebook": notebook}[what]()
