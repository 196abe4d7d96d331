"""Runs the worker on an interpreter that does not have this package: `python abroad.py FD PARENT`.

Makes `pronto` known by its folder alone: what lies beside it belongs to the gateway's interpreter.
"""

import importlib.util
import runpy
import sys
from pathlib import Path


def main() -> None:
    package = Path(__file__).resolve().parents[1]
    spec = importlib.util.spec_from_file_location(
        "pronto", package / "__init__.py", submodule_search_locations=[str(package)]
    )
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["pronto"] = module
    spec.loader.exec_module(module)
    runpy.run_module("pronto.fleet.worker", run_name="__main__", alter_sys=True)


# Processes that an engine starts for itself come by here again, under another name, and want nothing.
if __name__ == "__main__":
    main()
