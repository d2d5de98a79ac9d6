"""The guide's code as a reader has it: the figures of a page, and its console samples at work."""
import os
import pathlib
import re
import subprocess
from html.parser import HTMLParser

from conftest import LUNETTE, Server, write_site

COMMAND_S = 60


class Figure:
    """A <figure class="code">: .kind ("site", "file", "console", …, or "shown"), .name, .text, and the
    .section it is in, by the id of its <h2>."""

    def __init__(self, kind, section):
        self.kind, self.section, self.name, self.text = kind, section, "", ""


class Figures(HTMLParser):
    """The code on a page, in order: .figures."""

    def __init__(self, text):
        super().__init__()
        self.figures, self.figure, self.inside, self.section = [], None, None, None
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        a = dict(attrs)
        if tag == "figure" and ("data-sample" in a or "data-file" in a):
            self.figure = Figure(a.get("data-sample", "shown"), self.section)
            self.figures.append(self.figure)
        elif tag in ("figcaption", "pre"):
            self.inside = tag
        elif tag == "h2":
            self.section = a["id"]

    def handle_endtag(self, tag):
        if tag == self.inside:
            self.inside = None
        elif tag == "figure":
            self.figure = None

    def handle_data(self, data):
        if self.figure and self.inside == "figcaption":
            self.figure.name += data
        elif self.figure and self.inside == "pre":
            self.figure.text += data


def commands(text):
    """(command, what it prints) of a console sample."""
    for piece in re.split(r"^\$ ", text, flags=re.M)[1:]:
        command, _, output = piece.partition("\n")
        yield command, output


def fits(wanted, got):
    """Whether an output is what the guide says, but for line feeds at the end, which a terminal makes
    up for: … stands for anything."""
    pattern = ".*".join(map(re.escape, wanted.rstrip("\n").split("…")))
    return re.fullmatch(pattern, got.rstrip("\n"), re.S) is not None


def environment(home):
    """What a reader's shell has: lunette in its PATH, and a curl that shows no progress, as it does
    where it writes to a terminal."""
    (home / ".curlrc").write_text("silent\nshow-error\n")
    return {**os.environ, "PATH": f"{pathlib.Path(LUNETTE).parent}:{os.environ['PATH']}",
            "HOME": str(home), "CURL_HOME": str(home)}


def run(command, folder, port, env, **options):
    """What a command prints, run as a reader would in the site's folder, whose server has the port."""
    done = subprocess.run(["bash", "-c", command.replace("8080", str(port))], cwd=folder, env=env,
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          timeout=COMMAND_S, check=False, **options)
    printed = done.stdout.decode(errors="replace").replace("\r\n", "\n")
    return printed.replace(str(port), "8080")


def check_console(text, folder, port, env, **options):
    """Runs the commands of a sample; asserts that they print what it says."""
    for command, wanted in commands(text):
        got = run(command, folder, port, env, **options)
        assert fits(wanted, got), f"$ {command}\n{got}\n--- where the guide says\n{wanted}"


class Sample:
    """A site of the guide's: .files, then .console texts to be asked of it in turn."""

    def __init__(self, page, number):
        self.page, self.number, self.files, self.consoles = page, number, {}, []

    def __repr__(self):
        return f"sample {self.number} of {self.page}"

    def check(self, place):
        """Serves it in a folder beneath place, and runs its commands there."""
        folder = place / f"{self.page}{self.number}"
        folder.mkdir()
        write_site(folder, self.files)
        (folder / "error.log").symlink_to(f"../{folder.name}.err")
        server = Server(folder, ["--dev"])
        env = environment(place)
        try:
            for text in self.consoles:
                check_console(text, folder, server.port, env)
        except AssertionError as e:
            raise AssertionError(f"{self}: {e}\n--- the log\n{server.errors()}") from None
        finally:
            server.stop()


def sites(page, figures):
    """The sites that the samples of a page make."""
    found = []
    for figure in figures:
        if figure.kind == "site":
            found.append(Sample(page, len(found) + 1))
            found[-1].files["scripts/main.lua"] = figure.text.encode()
        elif figure.kind == "file":
            found[-1].files[figure.name] = figure.text.encode()
        elif figure.kind == "console":
            found[-1].consoles.append(figure.text)
    return found
