"""Whether another process has changed accounts or tokens. Knows neither, only that somebody counted a change."""

import sqlite3
from pathlib import Path

from pronto.core.errors import StorageFailed
from pronto.store.sqlite import connect


class Changes:
    """Two questions: has anybody committed (some microseconds), and only then: was it a change that counts?"""

    def __init__(self, path: Path) -> None:
        self._connection = connect(path)
        self._own = 0  # changes that this store has counted itself
        self._commits = self._data_version()
        self._foreign = self._generation()

    def note_own(self, count: int) -> None:
        """This store has committed `count` changes."""
        self._own += count

    def poll(self) -> bool:
        """Whether another process has counted a change since the last call. Raises StorageFailed."""
        try:
            commits = self._data_version()
            if commits == self._commits:
                return False
            foreign = self._generation() - self._own
        except sqlite3.Error as error:
            raise StorageFailed("The database cannot be read at the moment.") from error
        self._commits = commits
        is_new = foreign != self._foreign
        self._foreign = foreign
        return is_new

    def close(self) -> None:
        self._connection.close()

    def _data_version(self) -> int:
        return int(self._connection.execute("PRAGMA data_version").fetchone()[0])

    def _generation(self) -> int:
        return int(self._connection.execute("SELECT generation FROM changes").fetchone()[0])
