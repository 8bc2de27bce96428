"""The check of the built site finds what the generator does not look at."""

import json
from pathlib import Path

import pytest

from scripts.check_site import find_problems

SOUND = '<link rel="stylesheet" href="a.css"><h2 id="b">B</h2><a href="https://example.com">out</a><img src="c.svg">'


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """A site of one sound page."""
    (tmp_path / "index.html").write_text(SOUND + '<a href="#b">b</a> <a href="/index.html#b">b</a>')
    (tmp_path / "a.css").write_text("@font-face { src: url(data:font/woff2;base64,AA) }")
    (tmp_path / "c.svg").write_text("<svg/>")
    (tmp_path / "search.json").write_text(json.dumps({"items": [{"location": "index.html#b"}]}))
    return tmp_path


def test_a_sound_site_has_no_problems(site: Path) -> None:
    """Links to other hosts are for the reader to follow, and are no problem."""
    assert list(find_problems(site)) == []


@pytest.mark.parametrize(
    ("html", "problem"),
    [
        ('<img src="missing.png">', "index.html: missing.png leads nowhere"),
        ('<a href="other.html">other</a>', "index.html: other.html leads nowhere"),
        ('<a href="#nothing">nothing</a>', "index.html: #nothing leads nowhere"),
        ('<script src="https://cdn.example.com/a.js"></script>', "index.html: it fetches https://cdn.example.com/a.js"),
        ('<link rel="icon" href="//example.com/i.png">', "index.html: it fetches //example.com/i.png"),
    ],
)
def test_what_is_broken_is_named(site: Path, html: str, problem: str) -> None:
    """Missing files and anchors, and resources from other hosts, are problems."""
    with (site / "index.html").open("a") as file:
        file.write(html)

    assert list(find_problems(site)) == [problem]


def test_a_style_that_fetches_is_a_problem(site: Path) -> None:
    """Fonts from another host would need the network."""
    (site / "a.css").write_text('@import "https://fonts.example.com/a.css"; i { src: url(//b.example.com/c) }')

    assert list(find_problems(site)) == [
        "a.css: it fetches https://fonts.example.com/a.css",
        "a.css: it fetches //b.example.com/c",
    ]


def test_a_page_that_the_search_does_not_know_is_a_problem(site: Path) -> None:
    """The search must find every page."""
    (site / "new.html").write_text("<p>New</p>")

    assert list(find_problems(site)) == ["new.html: the search does not know it"]


def test_a_site_without_pages_or_search_is_a_problem(tmp_path: Path) -> None:
    """An empty folder does not pass."""
    assert list(find_problems(tmp_path)) == [f"{tmp_path} has no pages", "there is no index for the search"]
