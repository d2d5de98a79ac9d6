"""What the rounds of a result of bench.py say: values, and ratios within the same round."""


def good(runs):
    return [r for r in runs if "failed" not in r]


def values(result, workload, name, what):
    """What was seen of a server in a workload, for each round that did not fail."""
    return [r[what] for r in good(result["runs"].get(workload, {}).get(name, [])) if what in r]


def over(result, mine, theirs, what="cpu"):
    """mine over theirs, each (workload, server), for each round that both have."""
    runs = [result["runs"].get(workload, {}).get(name, []) for workload, name in (mine, theirs)]
    return [a[what] / b[what] for a, b in zip(*runs) if what in a and b.get(what)]


def ratios(result, workload, name):
    """CPU over the floor's."""
    return over(result, (workload, name), (workload, "floor"))


def rest(result, name, what):
    """rest, own or each of a server's memory, for each time that it was looked at."""
    return [m[what] for m in result["memory"].get(name, []) if m[what] is not None]


def peers(result):
    return [name for name in result["servers"] if name not in ("floor", "lunette")]
