import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatcli.attachments.html import html_text, is_html

PAGE = """<!DOCTYPE html>
<html><head><title>A page</title><style>p { color: red }</style></head>
<body><h1>Head&amp;line</h1><script>alert("no <p>text</p>")</script>
<p>One <b>bold</b>
word.<br>Next line.</p><ul><li>first</li><li>second</ul><svg><text>drawn</text></svg></body></html>"""


def test_the_text_of_a_page_is_what_a_reader_sees() -> None:
    assert html_text(PAGE).splitlines() == ["A page", "Head&line", "One bold word.", "Next line.", "first", "second"]


@pytest.mark.parametrize(
    ("text", "page"),
    [(PAGE, True), ("\n<!-- x --><html>", True), ("<HTML lang=en>", True), ("<htmlx>", False), ("see <html>", False)],
)
def test_a_page_is_known_by_its_beginning(text: str, page: bool) -> None:
    assert is_html(text) is page


@pytest.mark.parametrize(
    ("page", "text"),
    [
        ("a<![foo[ x ]]>b", "ab"),
        ("a<![CDATA[ x ]]>b", "ab"),
        ("a<!x>b<?y>c</1>d</>e", "abcde"),
        ("<!-->a<!--->b<!-- > -->c<!-- x --!>d", "abcd"),
        ("x < y > z, 1 <2", "x < y > z, 1 <2"),
        ("<p title='a>b' id = \"x>\">c</p>", "c"),
        ("<title>A &amp; B</title><p>C", "A & B\nC"),
        ("a<script>'</b>' </scripty></SCRIPT >b<style><p>", "ab"),
        ("a<svg><p>x</svg >b<noscript>", "ab"),
        ("open<p title='", "open"),
        ("open<!-- ", "open"),
        ("open<", "open<"),
        ("<" * 1000, "<" * 1000),
    ],
)
def test_odd_markup_is_read_as_a_browser_does(page: str, text: str) -> None:
    assert html_text(page) == text


_PARTS = ["<", "!", "[", "foo[", "]]", ">", "--", "/", "a", "script", "svg", "'", '"', "=", " ", "\n", "&amp;", "&#x"]
_PARTS += ["?", "CDATA[", "<html>", "\0", "doctype", "<!--", "-->", "</"]


@given(st.lists(st.sampled_from(_PARTS) | st.text(max_size=3)).map("".join))
def test_any_text_is_a_page(page: str) -> None:
    assert isinstance(is_html(page), bool)
    assert len(html_text(page)) <= len(page)


@pytest.mark.parametrize("part", ["<!---->", "<!--", "<a b='", "<!", "</", "<script>", "<a ", '<svg><a b="'])
def test_a_hostile_page_is_read_in_one_go(part: str) -> None:
    page = part * (2_000_000 // len(part))  # what looks for an end again at each beginning takes hours for it
    assert not is_html(page)
    assert html_text(page) == ""
