"""Signatures and docstrings of docs/reference.md, between comments that name the objects.

A comment is `<!-- api: turnlog.module.Name member, member -->`. `*` are all members of a class or
module that have a docstring, `**` all public ones; `()` leaves out how a class is made.
"""

from __future__ import annotations

import ast
import dataclasses
import enum
import inspect
import re
import textwrap
from collections.abc import Iterator
from importlib import import_module
from itertools import pairwise
from pathlib import Path
from types import FunctionType
from typing import Any

from django.utils.functional import cached_property

PAGE = Path(__file__).resolve().parents[2] / "docs" / "reference.md"
_ENTRY = r"<!-- api: ([\w.]+)(\(\))?(?: ([^\n]*?))? -->\n"
_WIDTH = 100
_SHOWN = PAGE.read_text(encoding="utf-8")
_CALLED = (FunctionType, classmethod, staticmethod, property)


def found(dotted: str) -> Any:
    """The module of a dotted name, or what a module has under its last part."""
    try:
        return import_module(dotted)
    except ModuleNotFoundError:
        module, _, name = dotted.rpartition(".")
        return getattr(import_module(module), name)


def entries(page: str) -> list[tuple[str, bool, str]]:
    """(dotted name, whether to show how it is made, members) of each comment."""
    return [(name, not hidden, members) for name, hidden, members in re.findall(_ENTRY, page)]


def written(page: str) -> str:
    """The page with what its comments ask for."""

    def entry(match: re.Match[str]) -> str:
        text = "\n\n".join(_described(match[1], match[2] is None, match[3] or ""))
        comment = match[0].partition("\n")[0]
        return f"{comment}\n\n{text}\n\n<!-- end -->\n"

    return re.sub(
        rf"{_ENTRY}(?:(?:(?!<!-- api: ).)*?<!-- end -->\n)?", entry, page, flags=re.DOTALL
    )


def _described(dotted: str, made: bool, wanted: str) -> Iterator[str]:
    thing = found(dotted)
    if inspect.ismodule(thing):
        if thing.__doc__:
            yield inspect.cleandoc(thing.__doc__)
        for name in members(thing, wanted):
            yield from _one(name, getattr(thing, name), made)
        return
    yield from _one(dotted, thing, made)
    name = dotted.rpartition(".")[2]
    for member in members(thing, wanted):
        yield from _one(f"{name}.{member}", inspect.getattr_static(thing, member), True)


def members(thing: Any, wanted: str) -> list[str]:
    """The names of the members that an entry asks for."""
    if wanted not in ("*", "**"):
        return [name.strip() for name in wanted.split(",") if name.strip()]
    public = {name: value for name, value in vars(thing).items() if not name.startswith("_")}
    if inspect.ismodule(thing):
        classes = {name: value for name, value in public.items() if inspect.isclass(value)}
        return [name for name, value in classes.items() if value.__module__ == thing.__name__]
    return [
        name
        for name, value in public.items()
        if isinstance(value, _CALLED)
        and (wanted == "**" or _documentation(value))
        and name != "as_manager"
    ]


def _one(shown: str, thing: Any, made: bool) -> Iterator[str]:
    if isinstance(thing, classmethod | staticmethod):
        thing = thing.__func__
    if isinstance(thing, property | cached_property):
        getter = thing.fget if isinstance(thing, property) else thing.func
        head = f"{shown}: {_annotation(getter.__annotations__['return'])}"
    elif inspect.isclass(thing):
        bases = [base.__name__ for base in thing.__bases__ if _is_shown(base)]
        head = _signature(shown, thing) if made and _has_own_init(thing) else shown
        head = f"class {head}" + (f"  # extends {', '.join(bases)}" if bases else "")
    elif isinstance(thing, FunctionType):
        asynchronous = "async " if inspect.iscoroutinefunction(thing) else ""
        head = asynchronous + _signature(shown, thing)
    else:
        head = f"{shown} = {thing!r}"
    yield f"```py\n{head}\n```"
    if text := inspect.cleandoc(_documentation(thing)):
        yield text
    if inspect.isclass(thing) and (listed := list(_attributes(thing))):
        yield "\n".join(listed)


def _is_shown(base: type) -> bool:
    """Whether a base class is one that the page describes."""
    return base.__module__.startswith("turnlog.") and f".{base.__name__}" in _SHOWN


def _has_own_init(thing: type) -> bool:
    return dataclasses.is_dataclass(thing) or "__init__" in vars(thing)


def _documentation(thing: Any) -> str:
    if isinstance(thing, classmethod | staticmethod):
        thing = thing.__func__
    if not (inspect.isclass(thing) or isinstance(thing, FunctionType | property)):
        return ""
    text = thing.__doc__ or ""
    # A dataclass without a docstring is given one by Python.
    return "" if inspect.isclass(thing) and text.startswith(f"{thing.__name__}(") else text


def _annotation(given: Any) -> str:
    if given is inspect.Parameter.empty or given == "":
        return ""
    return given if isinstance(given, str) else inspect.formatannotation(given)


def _signature(name: str, thing: Any) -> str:
    signature = inspect.signature(thing)
    parameters = []
    for parameter in signature.parameters.values():
        if parameter.name in ("self", "cls"):
            continue
        nothing = inspect.Parameter.empty
        text = str(parameter.replace(annotation=nothing, default=nothing))
        if annotation := _annotation(parameter.annotation):
            text += f": {annotation}"
        if parameter.default is not nothing:
            # A field's default that is made for each instance is `<factory>`.
            value = re.sub(r"<[^>]+>", "...", repr(parameter.default))
            text += f" = {value}" if annotation else f"={value}"
        parameters.append((parameter.kind, text))
    shown = list(_with_marks(parameters))
    returned = "" if inspect.isclass(thing) else _annotation(signature.return_annotation)
    end = f") -> {returned}" if returned else ")"
    line = f"{name}({', '.join(shown)}{end}"
    if len(line) <= _WIDTH:
        return line
    return "\n".join([f"{name}(", *(f"    {text}," for text in shown), end])


def _with_marks(parameters: list[tuple[Any, str]]) -> Iterator[str]:
    """The parameters, with the `*` that those by keyword only come after."""
    starred = False
    for kind, text in parameters:
        if kind is inspect.Parameter.VAR_POSITIONAL:
            starred = True
        if kind is inspect.Parameter.KEYWORD_ONLY and not starred:
            starred = True
            yield "*"
        yield text


def _attributes(thing: type) -> Iterator[str]:
    """An item for each attribute with a docstring below it, which only the source has; for each
    member of an enum."""
    if issubclass(thing, enum.Enum):
        yield from (f"- `{member.name} = {member.value!r}`" for member in thing)
        return
    [tree] = ast.parse(textwrap.dedent(inspect.getsource(thing))).body
    assert isinstance(tree, ast.ClassDef)
    for before, after in pairwise(tree.body):
        match before, after:
            case ast.AnnAssign() | ast.Assign(), ast.Expr(value=ast.Constant(value=str(text))):
                shown = ast.unparse(before).partition("\n")[0]
                yield f"- `{shown}`: {' '.join(text.split())}"
