"""The last word on what comes through: nothing but the tags and attributes listed here."""

from __future__ import annotations

import nh3
from django.utils.safestring import SafeString, mark_safe

from .code import CLASSES
from .html import LANGUAGE

TAGS = {
    *("p", "h1", "h2", "h3", "h4", "h5", "h6", "ul", "ol", "li", "blockquote", "pre", "code"),
    *("table", "thead", "tbody", "tr", "th", "td", "hr", "br", "strong", "em", "s", "a"),
    *("div", "span", "input"),
}
_ATTRIBUTES = {"a": {"href"}, "ol": {"start"}, "code": {"class"}}
_WITH_DIRECTION = (
    *("p", "h1", "h2", "h3", "h4", "h5", "h6", "ul", "ol", "li", "blockquote", "th", "td"),
    *("table", "div", "pre", "code"),
)
_ALIGNED = {"class": {"align-left", "align-center", "align-right"}}
_VALUES: dict[str, dict[str, set[str]]] = {
    tag: {"dir": {"auto", "ltr", "rtl"}} for tag in _WITH_DIRECTION
}
for _tag, _more in {
    "th": _ALIGNED,
    "td": _ALIGNED,
    "li": {"class": {"turnlog-task"}},
    "div": {"class": {"turnlog-math", "turnlog-table"}, "tabindex": {"0"}},
    "span": {"class": {"turnlog-math", "turnlog-image", "turnlog-raw", *CLASSES}},
    "a": {"class": {"turnlog-image"}, "target": {"_blank"}},
    "input": {"type": {"checkbox"}, "disabled": {""}, "checked": {""}},
}.items():
    _VALUES.setdefault(_tag, {}).update(_more)


def _filter(tag: str, attribute: str, value: str) -> str | None:
    if tag != "code" or attribute != "class":
        return value
    name = value.removeprefix("language-")
    return value if name != value and LANGUAGE.fullmatch(name) else None


_CLEANER = nh3.Cleaner(
    tags=TAGS,
    attributes=_ATTRIBUTES,
    tag_attribute_values=_VALUES,
    # Whatever else an <input> says: it is a checkbox that cannot be used.
    set_tag_attribute_values={"input": {"type": "checkbox", "disabled": ""}},
    attribute_filter=_filter,
    url_schemes={"http", "https", "mailto"},
    link_rel="noopener noreferrer",
)


def safe(html: str) -> SafeString:
    """Return the HTML without anything that is not allowed."""
    return mark_safe(_CLEANER.clean(html))
