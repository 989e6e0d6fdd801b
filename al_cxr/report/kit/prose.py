"""What pages say in words: jinja2 templates, one file a subject (`templates/SUBJECT.md.j2`), one block a passage.

    {% block summary %}
    - Mean over {{ seeds | count }} seeds of {{ target }} F1.
    {% endblock %}

A passage is wrapped as its author likes: what is one line on the page need not be one in the template. Numbers are
printed by the filters `count`, `percent`, `points`, `p` and so on, as in tables. In markdown every text that is put in
is escaped, because it comes from outside; `sentences` are plain text, for a terminal too.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache, partial
from importlib.resources import files
from typing import get_args

from jinja2 import Environment, StrictUndefined, Template
from markupsafe import Markup

from al_cxr.report.kit.numbers import Kind, number
from al_cxr.report.kit.text import escape

TEMPLATES = files("al_cxr.report") / "templates"


def notes(subject: str, passage: str, **values: object) -> tuple[str, ...]:
    """The items of a list in a passage, each one line of markdown."""
    return _items(_render(subject, passage, values, escaped=True))


def paragraph(subject: str, passage: str, **values: object) -> str:
    """A passage as one line of markdown."""
    return _one_line(_render(subject, passage, values, escaped=True))


def sentences(subject: str, passage: str, **values: object) -> list[str]:
    """The items of a list in a passage, each one line of plain text; whoever puts them on a page escapes them."""
    return list(_items(_render(subject, passage, values, escaped=False)))


def sentence(subject: str, passage: str, **values: object) -> str:
    """A passage as one line of plain text."""
    return _one_line(_render(subject, passage, values, escaped=False))


def _items(text: str) -> tuple[str, ...]:
    return tuple(_one_line(item) for item in re.split(r"^- ", text, flags=re.MULTILINE) if item.strip())


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _render(subject: str, passage: str, values: dict[str, object], escaped: bool) -> str:
    template = _template(subject, escaped)
    return "".join(template.blocks[passage](template.new_context(values)))


@lru_cache
def _template(subject: str, escaped: bool) -> Template:
    environment = Environment(
        autoescape=False,  # markdown is made here, and HTML of it in kit/html.py; `finalize` is what escapes
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_markdown if escaped else None,
    )
    filters: dict[str, Callable[..., object]] = {kind: partial(number, kind=kind) for kind in get_args(Kind)}
    environment.filters.update(filters)
    return environment.from_string(TEMPLATES.joinpath(f"{subject}.md.j2").read_text("utf-8"))


def _markdown(value: object) -> object:
    """What a template puts in: markdown as it is, text from outside escaped."""
    return escape(value) if isinstance(value, str) and not isinstance(value, Markup) else value
