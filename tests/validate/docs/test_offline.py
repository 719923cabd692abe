import pytest

from pipelines.validate.docs.offline import wants

STYLE = "<style>i { mask: url(\"data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg'/%3E\") }</style>"


def test_links_within_the_site_and_data_in_the_page_ask_for_nothing() -> None:
    page = (
        f'{STYLE}<link rel="icon" href="data:,"><a href="../a.html">a</a><a href="#b">b</a><svg><use href="#c"/></svg>'
    )
    assert wants(page) == []
    assert wants("<p>&lt;script src=&quot;https://example.org&quot;&gt; url(https://example.org)</p>") == []


@pytest.mark.parametrize(
    "page",
    [
        "<script>1</script>",
        '<script src="x.js"></script>',
        '<img src="logo.png">',
        '<img srcset="//example.org/a.png 2x">',
        '<link rel="stylesheet" href="https://example.org/a.css">',
        '<link rel="stylesheet" href="a.css">',
        '<iframe src="a.html"></iframe>',
        '<form action="a"></form>',
        '<a href="https://example.org">a</a>',
        '<a href="//example.org">a</a>',
        '<a href="javascript:alert(1)">a</a>',
        '<p onclick="f()">a</p>',
        '<p style="background: url(https://example.org/a.png)">a</p>',
        "<style>@import 'a.css';</style>",
        "<style>p { background: url(  'https://example.org/a.png') }</style>",
        '<svg><image xlink:href="a.png"/></svg>',
        '<base href="/">',
    ],
)
def test_whatever_fetches_or_runs_is_found(page: str) -> None:
    assert len(wants(page)) >= 1
