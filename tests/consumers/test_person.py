"""The page and its socket name the person by the same opaque word."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.models import AnonymousUser, User
from django.core.exceptions import SynchronousOnlyOperation
from django.http import HttpRequest
from django.template import Context, RequestContext, Template
from django.utils.functional import SimpleLazyObject

from turnlog.consumers.socket.access import is_the_pages_person, person_of

ADA, BOB = User(pk=7, username="ada"), User(pk=8, username="bob")
TAG = Template("{% load turnlog_page %}{% turnlog_person %}")


def page_of(user: Any) -> str:
    request = HttpRequest()
    request.user = user
    return TAG.render(RequestContext(request))


def not_loaded() -> Any:
    """The user in an async view that has not asked for it."""
    raise SynchronousOnlyOperation


def test_the_page_names_its_person_and_says_nothing_about_them() -> None:
    assert page_of(ADA) == person_of(ADA)
    assert len({person_of(ADA), person_of(BOB), person_of(AnonymousUser())}) == 3
    assert "ada" not in page_of(ADA)


def test_a_page_that_cannot_know_names_nobody() -> None:
    assert TAG.render(Context()) == ""
    assert TAG.render(Context({"request": HttpRequest()})) == ""
    assert page_of(SimpleLazyObject(not_loaded)) == ""


def test_only_the_pages_person_continues_it() -> None:
    assert is_the_pages_person({"user": ADA}, page_of(ADA))
    assert not is_the_pages_person({"user": BOB}, page_of(ADA))
    assert not is_the_pages_person({"user": AnonymousUser()}, page_of(ADA))
    assert not is_the_pages_person({"user": ADA}, "é")


def test_what_is_not_known_is_not_compared() -> None:
    assert is_the_pages_person({"user": ADA}, "")
    assert is_the_pages_person({}, page_of(ADA))
