"""What every validator is made of: a rule is one must(); typed reading of JSON, strict as the strictest client."""

import datetime
import json
import math


class Broken(AssertionError):
    """A rule of an API is broken; the text says which."""


def must(ok, sentence):
    if not ok:
        raise Broken(sentence)


def parse(raw, where):
    """Returns the JSON value of bytes or text; no NaN, no key twice, no byte that is not UTF-8."""
    try:
        text = raw.decode() if isinstance(raw, bytes) else raw
        return json.loads(text, object_pairs_hook=lambda pairs: unique(pairs, where), parse_constant=refuse_constant)
    except ValueError as why:
        raise Broken(f"{where} is not JSON in UTF-8 ({why}): {raw[:200]!r}") from None


def refuse_constant(name):
    raise ValueError(f"{name} is not JSON")


def unique(pairs, where):
    names = [name for name, _ in pairs]
    must(len(names) == len(set(names)), f"{where} has a key twice: {names}")
    return dict(pairs)


def an_object(value, where):
    must(isinstance(value, dict), f"{where} must be an object, not {value!r:.100}")
    return value


def parse_object(raw, where):
    return an_object(parse(raw, where), where)


def the(holder, key, where):
    must(key in holder, f"{where} has no `{key}`")
    return holder[key]


def text(holder, key, where):
    value = the(holder, key, where)
    must(isinstance(value, str), f"{where}: `{key}` must be a string, not {value!r:.100}")
    return value


def name(holder, key, where):
    value = text(holder, key, where)
    must(value, f"{where}: `{key}` must not be empty")
    return value


def count(holder, key, where):
    value = the(holder, key, where)
    good = isinstance(value, int) and not isinstance(value, bool) and value >= 0
    must(good, f"{where}: `{key}` must be a whole number from 0, not {value!r:.100}")
    return value


def flag(holder, key, where):
    value = the(holder, key, where)
    must(isinstance(value, bool), f"{where}: `{key}` must be true or false, not {value!r:.100}")
    return value


def number(value, where):
    good = isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
    must(good, f"{where} must be a finite number, not {value!r:.100}")
    return value


def items(holder, key, where):
    value = the(holder, key, where)
    must(isinstance(value, list), f"{where}: `{key}` must be a list, not {value!r:.100}")
    return value


def objects(holder, key, where):
    return [an_object(item, f"{where}: an entry of `{key}`") for item in items(holder, key, where)]


def member(holder, key, where):
    return an_object(the(holder, key, where), f"{where}: `{key}`")


def one_of(holder, key, values, where):
    value = the(holder, key, where)
    must(value in values, f"{where}: `{key}` must be one of {', '.join(map(str, values))}, not {value!r:.100}")
    return value


def equals(holder, key, wanted, where):
    value = the(holder, key, where)
    must(value == wanted, f"{where}: `{key}` must be {wanted!r:.200}, not {value!r:.200}")


def moment(holder, key, where):
    """An RFC 3339 time; Python before 3.11 knows neither Z nor more than six digits."""
    value = name(holder, key, where)
    try:
        when = datetime.datetime.strptime(value[:19], "%Y-%m-%dT%H:%M:%S")
    except ValueError:
        when = None
    zoned = value.endswith("Z") or value[-6:-5] in ("+", "-")
    must(when and zoned, f"{where}: `{key}` must be an RFC 3339 time with its zone, not {value!r}")
    return when
