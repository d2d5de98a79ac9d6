"""The command line: pages of commands, words that are wrong, colours."""
import pytest

from commands import Terminal, example, lunette, said


HELP = [("check", "error"), ("routes", "middleware"), ("why", "METHOD"), ("repl", "prompt"), ("test", "tests"),
        ("serve", "--listen"), ("limits", "limit"), ("status", "control"), ("reload", "control"),
        ("stop", "control")]


@pytest.mark.parametrize("command, word", HELP)
def test_pages_of_commands(place, command, word):
    page = said(place, f"help {command}")
    assert page.startswith(("lunette " + command, "lunette [" + command)) and word in page
    assert said(place, f"{command} --help") == page == said(place, f"{command} -h")
    assert max(map(len, page.splitlines())) <= 100


WRONG_WORDS = [
    ("chekc x", "did you mean 'check'?"), ("reutes", "did you mean 'routes'?"),
    ("help wyh", "did you mean 'why'?"),
    ("routes --tap", "lunette routes takes no --tap (see lunette routes --help)"),
    ("check --dev", "lunette check takes no --dev"),
    ("repl --confg=x", "did you mean --config?"),
    ("why GET / a b", "one folder is enough"),
    ("check a b", "one folder is enough"),
]


@pytest.mark.parametrize("words, sentence", WRONG_WORDS)
def test_wrong_words(place, words, sentence):
    done = lunette(place, words)
    assert (done.returncode, done.stdout) == (2, "") and sentence in done.stderr


def test_folders_that_are_no_sites(place):
    for words in ["check", "routes", "repl", "why GET /", "check nowhere"]:
        done = lunette(place, words)
        assert (done.returncode, done.stdout) == (1, "") and "lunette: " in done.stderr


def test_colours_are_for_terminals(example):
    t = Terminal(example, "routes")
    t.wait_for("\x1b[1mMETHOD")
    assert t.end() == 0
    t = Terminal(example, "routes", env={"NO_COLOR": "1"})
    t.wait_for("site/:")
    assert t.end() == 0 and "\x1b" not in t.seen
