"""Prose of pages: one passage of a template, in which text from outside is never markup."""

from __future__ import annotations

from pathlib import Path

import pytest
from jinja2 import UndefinedError
from markupsafe import Markup

from al_cxr.report.kit import prose

TEMPLATE = """\
{% block list %}
- First {{ name }}
  goes on, {{ share | percent }} %.
{% if more %}
- *Second*: p {{ p | p }}.
{% endif %}
{% endblock %}
{% block line %}
One
line of {{ name }}
{% endblock %}
"""


@pytest.fixture(autouse=True)
def templates(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "subject.md.j2").write_text(TEMPLATE)
    monkeypatch.setattr(prose, "TEMPLATES", tmp_path)
    prose._template.cache_clear()


def test_a_passage_has_one_line_an_item_however_it_is_wrapped() -> None:
    said = prose.notes("subject", "list", name="x", share=0.1234, more=True, p=1e-9)
    assert said == ("First x goes on, 12.3 %.", r"*Second*: p \< 0.0001.")
    assert prose.notes("subject", "list", name="x", share=0.5, more=False) == ("First x goes on, 50.0 %.",)
    assert prose.paragraph("subject", "line", name="x") == "One line of x"


def test_text_from_outside_is_escaped_on_a_page_and_markdown_of_our_own_is_not() -> None:
    hostile = "<b>*x*|[y](z)\n- w"
    assert prose.paragraph("subject", "line", name=hostile) == r"One line of \<b>\*x\*\|\[y\](z) - w"
    assert prose.paragraph("subject", "line", name=Markup("*x*")) == "One line of *x*"
    assert prose.sentences("subject", "list", name="a*b", share=0.5, more=False) == ["First a*b goes on, 50.0 %."]


def test_a_value_that_a_passage_lacks_is_an_error() -> None:
    with pytest.raises(UndefinedError, match="name"):
        prose.paragraph("subject", "line")
