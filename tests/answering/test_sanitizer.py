"""Whatever is written, what is shown has no image, no tag and no link but to addresses that the evidence holds."""

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from markdown_it.token import Token

from app.answering.prompt import INVISIBLE
from app.answering.sanitizer import LONGEST, SafeMarkdown, addresses, label, safe

KNOWN = addresses(["See (http://ok.example/a), https://ok.example/b?c=1. Or www.ok.example; mail me@ok.example."])
RENDERER = MarkdownIt("commonmark").enable(["table", "strikethrough"])
LINKED = re.compile(r"(?:https?://|www(?=\.))[-.\w]+[^ \t\r\n]*|[-.\w+]+@[-\w]+(?:\.[-\w]+)+", re.IGNORECASE | re.ASCII)
"""What the chat's renderer makes a link of in plain text: the expressions of mdast-util-gfm-autolink-literal."""


def harm(text: str) -> list[str]:
    """Images, tags and links to unknown addresses that a renderer sees."""
    found: list[str] = []

    def look(token: Token) -> None:
        if token.type in ("image", "html_inline", "html_block"):
            found.append(token.type)
        if token.type == "link_open" and str(token.attrs["href"]).removeprefix("mailto:") not in KNOWN:
            found.append(str(token.attrs["href"]))
        plain = "".join(child.content if child.type.startswith("text") else "\0" for child in token.children or ())
        for address in LINKED.findall(plain):
            if not known(address):
                found.append(address)
        for child in token.children or ():
            look(child)

    for token in RENDERER.parse(text):
        look(token)
    return found


def known(address: str) -> bool:
    return address.partition("\0")[0].rstrip(".,:;!?'\")]") in KNOWN


SPECIAL = [
    *("![x](http://evil.example/x.png)", "[t](http://evil.example)", "http://evil.example/a?b", "www.evil.example"),
    *("a@evil.example", "<http://evil.example>", "[x]: http://evil.example\n", "[x]", "![x]", "[^1]", "[^1]: "),
    *("http://ok.example/a", "[t](http://ok.example/a)", "<http://ok.example/a>", "www.ok.example", "me@ok.example"),
    *("<img src=x>", "<a href='http://evil.example'>", "<!--", "-->", "<div>", "</div>\n", "<script>", "<?", "<pre>"),
    *("&#58;", "&colon;", "&#x2f;", "&amp;", "&#116;", "http", "www", ":", "//", ".", "@", "evil.example", "\\", "\\:"),
    *(
        "`",
        "``",
        "```",
        "```\n",
        "~~~",
        "~~~\n",
        "- a\n",
        "1. b\n",
        "  - c\n",
        "> ",
        "# ",
        "- ",
        "* ",
        "2) ",
        "   ```\n",
    ),
    *("\n", "\n\n", " ", "  ", "    ", "\t", "\r", "|", "| a | b |\n|---|---|\n", ':a{x="', '"}', ":::a\n", ":::\n"),
    *(
        "[",
        "]",
        "](",
        ")",
        "(",
        "!",
        "*",
        "_",
        "~~",
        "a",
        "b c",
        "\u200b",
        "\u00a0",
        "é",
        "。",
        "===\n",
        "---\n",
        "[9]",
    ),
]
WRITTEN = st.lists(st.sampled_from(SPECIAL) | st.text(max_size=3), max_size=25).map("".join)


@settings(max_examples=400)
@given(WRITTEN)
@pytest.mark.slow
def test_nothing_harmful_is_left_of_any_text(text: str) -> None:
    assert harm(safe(text, KNOWN)) == []


@given(WRITTEN, st.integers(1, 7))
def test_a_stream_comes_out_as_the_whole_text_does(text: str, size: int) -> None:
    stream = SafeMarkdown(KNOWN)
    pieces = [stream.feed(text[at : at + size]) for at in range(0, len(text), size)]

    assert "".join(pieces) + stream.close() == safe(text, KNOWN)


@given(WRITTEN)
def test_what_is_safe_stays_as_it_is(text: str) -> None:
    assert safe(safe(text, KNOWN), KNOWN) == safe(text, KNOWN)


SEEN = st.characters(blacklist_characters="\\`~<&!]:.@\r", blacklist_categories=["Cs", "Cf", "Cn"]).filter(
    lambda letter: not INVISIBLE.match(letter)
)
"""Letters that mean nothing to Markdown and can be seen."""


@given(st.text(SEEN))
@pytest.mark.slow
def test_plain_text_flows_at_once_and_unchanged(text: str) -> None:
    stream = SafeMarkdown()

    assert "".join(map(stream.feed, text)) == text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("A ![plan](http://evil.example/x.png?q=1) b", "A (image removed: plan) b"),
        ("![plan](http://ok.example/a)", "(image removed: plan <http://ok.example/a>)"),
        ("![](data:image/png;base64,AAAA)", "(image removed)"),
        ("![a [b]](http://ok.example/a)", "! [a [b]]\\(http://ok.example/a)"),
        ("Look![1] It is.", "Look! [1] It is."),
        ("[here](http://evil.example/?q=1)", "[here]\\(http: //evil.example/?q=1)"),
        ("[here](http://ok.example/a)", "[here](http://ok.example/a)"),
        ("[here](http://ok.example/a?q=secret)", "[here]\\(http: //ok.example/a?q=secret)"),
        ("a](http://ok.example/a)secret", "a]\\(http: //ok.example/a)secret"),
        ("[here](//evil.example)", "[here]\\(//evil.example)"),
        ("[here](JavaScript:alert(1))", "[here]\\(JavaScript\\:alert(1))"),
        ("[here][x]\n\n[x]: http://evil.example", "[here][x]\n\n[x]\\: http: //evil.example"),
        ("<http://evil.example> <b>bold</b> a<b 1 < 2", "\\<http: //evil.example> \\<b>bold\\</b> a\\<b 1 < 2"),
        ("See http://ok.example/a, or www.ok.example.", "See http://ok.example/a, or www.ok.example."),
        ("See HTTPS://evil.example and WWW.evil.example", "See HTTPS: //evil.example and WWW .evil.example"),
        ("See http\\://evil.example www\\.evil.example", "See http: //evil.example www .evil.example"),
        ("h&#116;tp&colon;//evil.example &amp; &nbsp;", "h\\&#116;tp\\&colon;//evil.example &amp; &nbsp;"),
        ("http://οk.example/a", "http: //οk.example/a"),  # with a Greek letter
        ("Mail me@ok.example, not you@evil.example", "Mail me@ok.example, not you @evil.example"),
        (':a{x="`"} ![y](http://evil.example) `z`', '\\:a{x="`"} ![y](http://evil.example) `z\\`'),
        ("a ` b\nc ` ![x](http://evil.example) ` d", "a \\` b\nc ` ![x](http://evil.example) ` d"),
    ],
)
def test_what_becomes_of(text: str, shown: str) -> None:
    assert safe(text, KNOWN) == shown
    assert harm(shown) == []


@pytest.mark.parametrize(
    "code",
    [
        "Write `![x](http://evil.example)`, or:\n```md\n[x](http://evil.example) <b>\n```\n",
        "1. Run\n   ```sh\n   curl http://evil.example/<name>\n   ```\n2. Wait\n",
        "~~~\na: [1](b)\n~~~\n",
    ],
)
def test_code_is_left_as_it_is(code: str) -> None:
    assert safe(code) == code


def test_what_only_looks_like_code_is_shown_as_text() -> None:
    lure = "![x](http://evil.example/x.png)"
    for begun in (
        "<div>\n```\n\n",
        "- ```\n",
        "- a\n\n   b\n     ```\n",
        ":::a\n```\n:::\n",
        "> ```\n",
        "a\n     ```\n",
    ):
        assert harm(safe(f"{begun}{lure}\n", KNOWN)) == []


def test_open_code_is_closed_so_that_what_comes_below_the_answer_is_seen() -> None:
    assert safe("```py\nx = 1") == "```py\nx = 1\n```"
    assert safe("1. a\n   ```\n   b") == "1. a\n   ```\n   b\n   ```"


def test_no_more_is_held_back_than_a_limit() -> None:
    for lure in ("![", "[a](http://", "`", "http://", "<http://"):
        stream = SafeMarkdown()
        shown = "".join(stream.feed("x" if at else lure) for at in range(LONGEST + 10))
        assert len(shown) >= LONGEST - len(lure), lure


def test_a_name_of_a_file_is_one_line_of_plain_words() -> None:
    names = ["a_b (1).md", "![x](http://evil.example).md", "<img src=x>\n.md", "__init__.py", "www.evil.example", "a|b"]
    names += ["www&#46;evil.example.md", "R&D.md"]

    for name in names:
        assert harm(f"Sources: {label(name)}") == []
        assert RENDERER.renderInline(label(name)) in (label(name), label(name).replace("&", "&amp;"))
    assert [label(name) for name in ("a_b (1).md", "R&D.md")] == ["a_b (1).md", "R&D.md"]
