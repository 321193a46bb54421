"""Sphinx: `make docs`, or `sphinx-build -W docs docs/_build`.

The pages are plain Markdown, to be read anywhere. Sphinx adds the navigation and a search.
"""

import re

import turnlog

project = "turnlog"
author = "turnlog's contributors"
version = release = turnlog.__version__

extensions = ["myst_parser"]
exclude_patterns = ["_build", "tutorial/**"]
myst_heading_anchors = 3

html_theme = "furo"
html_title = "turnlog"
html_show_copyright = False
html_show_sphinx = False


def add_toctrees(app, name, source):
    """Where a page lists links, Sphinx finds the pages: a hidden toctree for each section."""
    if name not in ("index", "decisions/index"):
        return
    for section in re.split(r"^#+ ", source[0], flags=re.MULTILINE)[1:]:
        title = section.partition("\n")[0]
        pages = re.findall(r"\]\(([\w/-]+)\.md\)", section)
        if pages:
            lines = ["", "```{toctree}", ":hidden:", f":caption: {title}", "", *pages, "```", ""]
            source[0] += "\n".join(lines)


def setup(app):
    app.connect("source-read", add_toctrees)
