"""Names and words from elsewhere: on the screen, in Markdown, in pages. They say what they say, and do nothing."""

import html as html_module
import io
import json
from pathlib import Path
from typing import Any

import httpx
import pytest
from jinja2 import Template
from markdown_it import MarkdownIt
from markupsafe import Markup
from rich.markdown import Markdown

from flows import screens
from pipelines.deliver.profiles import Unit, file_names
from pipelines.errors import SourceError
from pipelines.exchange.answers import json_of
from pipelines.plain import in_markdown, plain, plain_lines
from pipelines.report.rendering import finalized
from pipelines.report.rundown import feed_in_words, problems_in_words, reconcile_in_words
from pipelines.validate.docs.blocks import line
from tests.conftest import small_community

CLEAR, TITLE, LINK = "\x1b[2J\x1b[1;1H", "\x1b]0;stolen\x07", "\x1b]8;;http://evil.example\x1b\\"
EVIL = [
    pytest.param(f"Flat {CLEAR}7", id="clears the screen"),
    pytest.param(f"Flat {TITLE}7", id="names the window"),
    pytest.param(f"Flat {LINK}7", id="hides a link"),
    pytest.param("Flat \x9b2J7", id="one sign for escape and bracket"),
    pytest.param("Flat 7\rINFO all is well", id="goes back to the line's start"),
    pytest.param("Flat 7\nINFO all is well", id="begins a line of its own"),
    pytest.param("Flat 7\u2028INFO all is well", id="a separator of lines"),
    pytest.param("Flat \u202e7 talF", id="turned round"),
    pytest.param("Flat \u2067 7 \u2069", id="isolated and turned round"),
    pytest.param("Flat \x08\x08\x08\x087", id="rubs out"),
    pytest.param("Flat \ud83d 7", id="half a sign"),
]
STEERING = set("\x1b\x9b\x07\x08\r\u2028\u202e\u2067\u2069")


@pytest.mark.parametrize("text", EVIL)
def test_plain_text_steers_nothing(text: str) -> None:
    told = plain(text)
    assert not STEERING & set(told)
    assert "\n" not in told
    assert told.startswith("Flat ")
    assert "7" in told
    told.encode()
    assert plain_lines("a\nb\tc") == "a\nb c"


def test_scripts_keep_what_joins_their_letters() -> None:
    for text in ("क\u200cष", "क्\u200dष", "Zürich", "住宅 7", "👩\u200d👧"):
        assert plain(text) == text


def shown(monkeypatch: pytest.MonkeyPatch, show: Any) -> str:
    stream = io.StringIO()
    for console in (screens.out, screens.err):
        monkeypatch.setattr(console, "_file", stream)
        monkeypatch.setattr(console, "_force_terminal", False)
        monkeypatch.setattr(console, "width", 200)
    show()
    return stream.getvalue()


@pytest.mark.parametrize("text", EVIL)
def test_nothing_that_is_shown_steers_the_terminal(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    text = f"{text} [red]colour[/red] [link=http://evil.example]x[/link]"

    def show() -> None:
        screens.show_error(SourceError(text))
        screens.show_rows(plain(text), [{"asset": text, "note": text}], empty="")
        screens.out.print(text, markup=False, soft_wrap=True)
        screens.out.print(Markdown("\n".join(problems_in_words([text]))))

    told = shown(monkeypatch, show)
    assert not STEERING & set(told)
    assert told.count("[red]colour[/red]") >= 4, "markup is shown, not obeyed"
    told.encode()


def test_json_for_programs_holds_no_control_sign(monkeypatch: pytest.MonkeyPatch) -> None:
    name = f"Flat {CLEAR}\x9b\u202e7"
    told = shown(monkeypatch, lambda: screens.show_json({"name": name}))
    assert not STEERING & set(told)
    assert json.loads(told) == {"name": name}


MARKDOWN = [
    "[here](http://evil.example)",
    "![](http://evil.example/seen.png)",
    "<img src=http://evil.example/seen.png onerror=alert(1)>",
    "<script>alert(1)</script>",
    "<http://evil.example>",
    "[here]: http://evil.example",
    "**bold** *slanted* `code`",
    "```\ncode\n```",
    "a\n\n# Heading\n\n- item",
    "\\[here](http://evil.example)",
    "{{ 7*7 }} {% raw %}",
]


@pytest.mark.parametrize("text", MARKDOWN)
def test_words_in_markdown_make_no_link_picture_or_tag(text: str) -> None:
    html = MarkdownIt("commonmark").render(f"- {in_markdown(text)}")
    # A list of one line, and in it the text as it was.
    assert html.startswith("<ul>\n<li>")
    inner = html.removeprefix("<ul>\n<li>").removesuffix("</li>\n</ul>\n")
    assert "<" not in inner
    assert html_module.unescape(inner) == plain(text)


def test_a_run_s_words_take_names_and_reasons_as_text() -> None:
    community = small_community("rest")
    named = community.model_copy(
        update={"community": community.community.model_copy(update={"name": "A **b** ![](http://evil.example/x)"})}
    )
    coverage = {"sun": {"due": [], "streams": 1, "asked_until": "x", "gaps": 0, "notes": ["![](http://evil.example)"]}}
    summary = {"collect": {"fetched": 0, "stored": 0, "coverage": coverage}}
    for words in (
        feed_in_words(named, summary, ["x\n- ![](http://evil.example/x)"]),
        reconcile_in_words(named, {}, ["<img src=http://evil.example/x>"]),
    ):
        html = MarkdownIt("commonmark").render(words)
        assert "<img" not in html
        assert "<a" not in html
        assert "A **b** ![](http://evil.example/x)" in html


def test_pages_turn_no_writing_round() -> None:
    page = Template("{{ name }} {{ style }}", autoescape=True, finalize=finalized)
    told = page.render(name="<b>Flat \u202e7</b>", style=Markup("<i>ours</i>"))
    assert told == "&lt;b&gt;Flat ?7&lt;/b&gt; <i>ours</i>"
    block = line("$name", name=("Flat \u202e7", "code"), other="\x1b[2J")
    assert block.string_template["params"] == {"name": "Flat ?7", "other": "?[2J"}


@pytest.mark.parametrize("text", EVIL)
def test_the_exchange_s_words_are_one_plain_line(text: str, noon: Any) -> None:
    for answer in (
        httpx.Response(400, content=text.encode("utf-8", "replace")),
        httpx.Response(200, json={"error": text.encode("utf-8", "replace").decode()}),
        httpx.Response(200, content=b"<p>" + text.encode("utf-8", "replace")),
    ):
        with pytest.raises(Exception, match="Flat") as caught:
            json_of(answer, step="s", now=noon, hide=lambda words: words)
        assert not STEERING & set(str(caught.value))
        assert "\n" not in str(caught.value)


def test_no_name_leads_a_file_out_of_its_folder(tmp_path: Path) -> None:
    asset = small_community("rest").assets[0]
    names = ["../../etc/passwd", "/etc/passwd", "..", "a\\..\\b", "x\x00y", ".hidden", "CON", "=cmd|' /C calc'!A0", ""]
    found = file_names(
        [asset.model_copy(update={"name": name, "uuid": f"u{n}"}) for n, name in enumerate(names)], Unit.KWH
    )
    for name in found:
        assert (tmp_path / name).resolve().parent == tmp_path.resolve()
        assert not name.startswith(".")
        # Nor does a spreadsheet take it for a formula.
        assert name[0] not in "=+-@"
    assert len(set(found)) == len(names)
