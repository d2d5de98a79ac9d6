"""Reads what callgrind writes: instructions of each function, without those of functions it called, and
how often it was called. (Format: valgrind's manual, "Callgrind Format Specification".)"""
import collections
import pathlib
import re

NAME = re.compile(r"\((\d+)\)(?: (.*))?")


def read(path):
    """Function → instructions in it; function → how often it was called."""
    names, costs, calls = {}, collections.Counter(), collections.Counter()
    function, called, is_call = None, None, False
    for line in pathlib.Path(path).read_text(errors="replace").splitlines():
        key, equals, value = line.partition("=")
        if equals and key in ("fn", "cfn"):
            number, name = NAME.fullmatch(value).groups()
            if name:
                names[number] = name
            if key == "fn":
                function = number
            else:
                called = number
        elif key == "calls":
            calls[called] += int(value.split()[0])
            is_call = True  # the next line is what the called function cost
        elif line[:1] in "+-*0123456789" and line:
            if not is_call and function:
                costs[function] += int(line.split()[1])
            is_call = False
    return merged(names, costs), merged(names, calls)


def merged(names, counts):
    """By name instead of by number: f'2 is a recursion of f."""
    found = collections.Counter()
    for number, n in counts.items():
        found[names[number].split("'")[0]] += n
    return found
