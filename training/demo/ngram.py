"""An interpolated n-gram model with Witten-Bell smoothing, the yardstick beside the network. Knows only numbers."""

import numpy

_PRIME = numpy.uint64(0x9E3779B97F4A7C15)
_MIX = numpy.uint64(0xBF58476D1CE4E5B9)


def nats(train: numpy.ndarray, test: numpy.ndarray, order: int, vocabulary: int) -> numpy.ndarray:
    """-log P of every test token given the order - 1 tokens before it, shape (len(test),).

    P_n(w | h) = (count(h w) + kinds(h) P_{n-1}(w | h')) / (count(h) + kinds(h)), and P_0 is 1 / vocabulary.
    """
    chance = numpy.full(len(test), 1.0 / vocabulary)
    for length in range(1, order + 1):
        grams, contexts = _hashes(train, length)
        kinds_of_gram, first, counts = numpy.unique(grams, return_index=True, return_counts=True)
        keys, where = numpy.unique(contexts[first], return_inverse=True)
        kinds = numpy.bincount(where)
        totals = numpy.bincount(where, weights=counts)
        of_test, contexts_of_test = _hashes(test, length)
        seen = _look_up(kinds_of_gram, counts, of_test)
        total = _look_up(keys, totals, contexts_of_test)
        kind = _look_up(keys, kinds, contexts_of_test)
        is_known = total > 0
        place = slice(length - 1, None)
        lower = chance[place]
        chance[place] = numpy.where(is_known, (seen + kind * lower) / numpy.maximum(total + kind, 1), lower)
    return -numpy.log(chance)


def _hashes(tokens: numpy.ndarray, length: int) -> tuple[numpy.ndarray, numpy.ndarray]:
    """Hashes of every run of `length` tokens, and of all of the run but its last token: one each for every start."""
    values = tokens.astype(numpy.uint64) + numpy.uint64(1)
    count = len(tokens) - length + 1
    with numpy.errstate(over="ignore"):
        context = numpy.zeros(count, dtype=numpy.uint64)
        for i in range(length - 1):
            context = _mixed(context * _PRIME + values[i : i + count])
        return _mixed(context * _PRIME + values[length - 1 :]), context


def _mixed(x: numpy.ndarray) -> numpy.ndarray:
    x = (x ^ (x >> numpy.uint64(30))) * _MIX
    return x ^ (x >> numpy.uint64(27))


def _look_up(keys: numpy.ndarray, values: numpy.ndarray, wanted: numpy.ndarray) -> numpy.ndarray:
    """The values of the wanted keys (`keys` sorted), 0 where there is none."""
    at = numpy.minimum(numpy.searchsorted(keys, wanted), len(keys) - 1)
    return numpy.where(keys[at] == wanted, values[at], 0).astype(numpy.float64)
