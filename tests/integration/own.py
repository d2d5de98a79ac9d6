"""The repository's own site: its files, and its chapters."""
import pathlib
import re

ROOT = pathlib.Path(__file__).parents[2]
SLUGS = re.findall(r'slug = "(\w+)"', (ROOT / "scripts/chapters.lua").read_text())
PATHS = {slug: "/" if slug == "start" else f"/guide/{slug}" for slug in SLUGS}


def own_files():
    """The site as a dictionary of files, for serve(…): a copy, since a server without --dev may not
    read a repository in root's home."""
    files = [*(ROOT / "scripts").rglob("*"), *(ROOT / "site").rglob("*"),
             *(ROOT / "tests").glob("*.lua")]
    return {str(path.relative_to(ROOT)): path.read_bytes() for path in files if path.is_file()}
