"""Completion in shells: bash's by calling it, all three against the program's help pages."""
import re
import shlex
import subprocess

import pytest

from conftest import LUNETTE, ROOT

FOLDER = ROOT / "src/completion"
COMMANDS = set("serve new check routes why limits test repl reload stop status help".split())


def complete(line, cwd=ROOT):
    """What bash offers behind the line, whose last word is the one begun."""
    words = [*line.split(" ")]
    script = f"""
        source {shlex.quote(str(FOLDER / "bash"))}
        complete -p lunette >/dev/null || exit 3
        COMP_WORDS=({" ".join(shlex.quote(w) for w in words)})
        COMP_CWORD={len(words) - 1}
        _lunette
        printf '%s\\n' "${{COMPREPLY[@]}}"
    """
    done = subprocess.run(["bash", "--norc", "-c", script], capture_output=True, text=True, cwd=cwd,
                          timeout=20, check=False)
    assert done.returncode == 0 and done.stderr == "", done.stderr
    return {word for word in done.stdout.split("\n") if word}


def help_of(command):
    """The options on a command's page, which itself is among them; None for commands to come."""
    done = subprocess.run([LUNETTE, command, "--help"], capture_output=True, text=True, timeout=20,
                          check=False)
    if done.returncode != 0:
        assert "not in this version" in done.stderr
        return None
    text = re.sub(r"`[^`]*`", "", done.stdout)
    return set(re.findall(r"--[a-z-]+", text)) | {"--help"}


def test_the_first_word_is_a_command_or_a_folder():
    offered = complete("lunette ")
    assert COMMANDS <= offered and {"src", "tests"} <= offered
    assert complete("lunette re") == {"repl", "reload"}
    assert complete("lunette serve sr") == {"src"}
    assert complete("lunette check re") == set()


def test_commands_are_those_of_the_program():
    general = subprocess.run([LUNETTE, "--help"], capture_output=True, text=True, timeout=20,
                             check=True).stdout
    known = set(re.findall(r"^  lunette \[?([a-z]+)", general, re.M))
    assert known <= COMMANDS and {"serve", "limits", "status"} <= known


@pytest.mark.parametrize("command", sorted(COMMANDS - {"help", "limits"}))
def test_options_are_those_of_the_page(command):
    offered = complete(f"lunette {command} --")
    known = help_of(command)
    assert known is None and "--help" in offered or offered == known


def test_limits_takes_the_options_of_serve():
    assert help_of("limits") <= complete("lunette limits --") == complete("lunette serve --")


def test_options_are_there_without_a_command_and_behind_a_folder():
    assert complete("lunette --") == complete("lunette serve --") | {"--version"}
    assert complete("lunette --ve") == {"--version"}
    assert complete("lunette mysite --d") == {"--dev"}
    assert complete("lunette --config serve --dev che") == {"check"}
    assert complete("lunette --dev test --t") == {"--tap"}


def test_values(tmp_path):
    (tmp_path / "config with a blank.lua").touch()
    assert complete("lunette serve --config c", tmp_path) == {"config with a blank.lua"}
    assert complete("lunette serve --config = c", tmp_path) == {"config with a blank.lua"}
    assert complete("lunette serve --config =", tmp_path) == {"config with a blank.lua"}
    assert complete("lunette --config = x --v", tmp_path) == {"--version"}
    assert "root" in complete("lunette serve --user ro")
    assert complete("lunette serve --workers ") == set()
    assert complete("lunette help re") == {"repl", "reload"}
    assert complete("lunette help serve ") == set()
    assert complete("lunette why P") == {"POST", "PUT", "PATCH"}


@pytest.mark.parametrize("shell, command, option", [
    ("zsh", r"^    '(\w+):", r"'\*?--([a-z-]+)\["),
    ("fish", r"__fish_use_subcommand -a (\w+)", r"complete .* -l ([a-z-]+)"),
])
def test_other_shells_have_the_same_words(shell, command, option):
    text = (FOLDER / shell).read_text()
    assert set(re.findall(command, text, re.M)) == COMMANDS
    options = set().union(*(complete(f"lunette {c} --") for c in COMMANDS)) | {"--version"}
    assert {"--" + name for name in re.findall(option, text)} == options
