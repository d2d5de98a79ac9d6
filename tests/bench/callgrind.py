"""Reads what callgrind writes: instructions of each function, without those of functions it called."""
import collections
import pathlib
import re

NAME = re.compile(r"\((\d+)\)(?: (.*))?")


def self_costs(path):
    """Function → instructions in it. (Format: valgrind's manual, "Callgrind Format Specification".)"""
    names, costs = {}, collections.Counter()
    function, is_call = None, False
    for line in pathlib.Path(path).read_text(errors="replace").splitlines():
        key, equals, value = line.partition("=")
        if equals and key in ("fn", "cfn"):
            number, name = NAME.fullmatch(value).groups()
            if name:
                names[number] = name
            if key == "fn":
                function = number
        elif key == "calls":
            is_call = True  # the next line is what the called function cost
        elif line[:1] in "+-*0123456789" and line:
            if not is_call and function:
                costs[function] += int(line.split()[1])
            is_call = False
    merged = collections.Counter()
    for number, cost in costs.items():
        merged[names[number].split("'")[0]] += cost  # f'2 is a recursion of f
    return merged
