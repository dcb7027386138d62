"""The members and types that the routes promise, and a check of an answer against them."""

import re
import time

EPOCH = re.compile(r"[0-9a-f]{16}")


# A shape is a type, a set of allowed values, a test, or a dict, or a list of one shape.
def is_time(value):
    return isinstance(value, float) and abs(value - time.time()) < 600


def is_count(value):
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def is_age(value):
    return isinstance(value, (int, float)) and value >= 0


def is_epoch(value):
    return EPOCH.fullmatch(value) is not None


def is_text(value):
    return isinstance(value, str) and value != ""


def check(value, shape, where="the body"):
    if isinstance(shape, dict):
        assert isinstance(value, dict), where
        assert set(value) == set(shape), where
        for key, inner in shape.items():
            check(value[key], inner, f"{where}.{key}")
    elif isinstance(shape, list):
        assert isinstance(value, list) and value, where
        for i, entry in enumerate(value):
            check(entry, shape[0], f"{where}[{i}]")
    elif callable(shape):
        assert shape(value), f"{where}: {value!r}"
    else:
        assert value == shape and type(value) is type(shape), f"{where}: {value!r}, not {shape!r}"
