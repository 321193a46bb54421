"""Sphinx: `make docs`, or `sphinx-build -W docs docs/_build`."""

import os
import re
import sys
from pathlib import Path

import django

HERE = Path(__file__).resolve().parent

# The tutorial's project gives Django something to be set up with, so that docstrings can be read.
sys.path.insert(0, str(HERE / "tutorial"))
os.environ["DJANGO_SETTINGS_MODULE"] = "mysite.settings"
django.setup()

import turnlog  # noqa: E402

project = "turnlog"
author = "turnlog's contributors"
version = release = turnlog.__version__

extensions = ["myst_parser", "sphinx.ext.autodoc"]
exclude_patterns = ["_build", "tutorial/**"]
nitpicky = False

myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3

# Docstrings name code as Markdown does.
default_role = "literal"
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
python_maximum_signature_line_length = 80


def show_factories(app, what, name, obj, options, signature, returns):
    """A field's default that is made anew is `<factory>`, which Sphinx cannot parse."""
    return signature and signature.replace("<factory>", "..."), returns


def add_toctrees(app, name, source):
    """A page of links, readable anywhere, is also where Sphinx finds the pages: by section."""
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
    app.connect("autodoc-process-signature", show_factories)


html_theme = "furo"
html_title = "turnlog"
html_show_copyright = False
html_show_sphinx = False
