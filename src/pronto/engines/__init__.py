"""Loaded models inside a worker process. Heavy libraries are imported in `load()` only."""
