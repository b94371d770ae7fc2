"""Query sets: the shipped tables, building, and everything that may be wrong with a user's."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

from mimecurate.commands.root import cli
from mimecurate.curation.query_sets import (
    Template,
    Words,
    build_queries,
    kinetics400_names,
    read_queries,
    read_templates,
    read_words,
    shipped_set,
)
from mimecurate.errors import InvalidInputError, MimecurateError

if TYPE_CHECKING:
    from pathlib import Path


def test_the_shipped_words_cover_every_mimetics_class_in_twelve_languages(shared: Path) -> None:
    lines = (shared / "mimetics-v1.0/mimetics_v1.0_clsannot.txt").read_text().splitlines()[1:]
    classes = {line.split()[0].replace("_", " ") for line in lines}
    words = read_words()
    assert Counter(w.language for w in words) == dict.fromkeys(
        ["en", "fr", "es", "pt", "it", "de", "nl", "tr", "id", "ru", "ja", "zh"], 50
    )
    assert {w.label for w in words} == classes <= set(kinetics400_names())
    assert all(w.action and w.object for w in words)
    languages = {t.language for t in read_templates()}
    assert languages == {w.language for w in words}
    for language in languages:
        slots = {t.slot for t in read_templates() if t.language == language}
        assert slots == {"action", "object"}


def test_the_generic_set_asks_for_each_of_400_classes_without_brackets() -> None:
    queries = list(build_queries(*shipped_set("kinetics400")))
    assert len({q.label for q in queries}) == 400
    assert {q.language for q in queries} == {"en"}
    texts = {q.text for q in queries if q.label == "skiing (not slalom or crosscountry)"}
    assert texts == {"skiing", "miming skiing", "imitating skiing", "charades skiing"}


def test_every_alternative_goes_into_every_template_of_its_language_once() -> None:
    templates = [Template("en", "a", "mime {action}"), Template("fr", "b", "{object} invisible")]
    words = [Words("boxing", "en", ("boxing", "punching", "boxing"), ("glove",))]
    words += [Words("boxing", "fr", ("boxer",), ("gant",)), Words("x", "de", ("y",), ())]
    made = [(q.text, q.label, q.phrase) for q in build_queries(templates, words)]
    assert made == [
        ("mime boxing", "boxing", "boxing"),
        ("mime punching", "boxing", "punching"),
        ("gant invisible", "boxing", "gant"),
    ]
    french = build_queries(templates, words, languages=["fr"], classes=["boxing"])
    assert [q.text for q in french] == ["gant invisible"]
    with pytest.raises(MimecurateError, match="no language 'xx'"):
        list(build_queries(templates, words, languages=["xx"]))
    with pytest.raises(MimecurateError, match="no class 'hurdling'"):
        list(build_queries(templates, words, classes=["hurdling"]))


def test_a_phrase_that_looks_like_a_template_is_left_alone() -> None:
    assert Template("en", "a", "mime {action}").fill(r"{object} \1 {action}") == (
        r"mime {object} \1 {action}"
    )


def test_wrong_tables_name_every_line(tmp_path: Path) -> None:
    templates = tmp_path / "t.csv"
    templates.write_text(
        "language,template,text\nen,a,miming\nEnglish,b,{action}\nen,c,{action} {object}\n"
        "en,d,{0.__class__} {action}\nen,e,{action}\nen,e,{object}\n"
    )
    with pytest.raises(InvalidInputError) as caught:
        read_templates(templates)
    assert [p.line for p in caught.value.problems] == [2, 3, 4, 5, 7]
    words = tmp_path / "w.csv"
    words.write_bytes(
        b"class,language,action,object\na,en,,\nb,en,x\nc,en,x\x00y,\nd,en,x,\nd,en,y,\n,en,x,\n"
    )
    with pytest.raises(InvalidInputError) as caught:
        read_words(words)
    assert [p.line for p in caught.value.problems] == [2, 3, 4, 6, 7]


def test_a_file_of_queries_is_read_in_either_form(tmp_path: Path) -> None:
    path = tmp_path / "q.csv"
    path.write_text("# mine\nmime guitar\n\nmime guitar\n  air  guitar \n")
    assert [q.text for q in read_queries(path)] == ["mime guitar", "air guitar"]
    path.write_text("class,query,language\nplaying_guitar,air guitar,en\n,=1+1,\n")
    first, second = read_queries(path)
    assert (first.label, first.text, first.language) == ("playing guitar", "air guitar", "en")
    assert (second.label, second.text) == (None, "=1+1")


@pytest.mark.parametrize("mark", [",", ";", "\t"])
def test_columns_may_stand_between_commas_semicolons_or_tabs(tmp_path: Path, mark: str) -> None:
    path = tmp_path / "q.csv"
    rows = ["Query,Language,Class", "mime arc,fr,archery", "arc,,"]
    path.write_text("".join(row.replace(",", mark) + "\n" for row in rows))
    found = [(q.text, q.language, q.label) for q in read_queries(path)]
    assert found == [("mime arc", "fr", "archery"), ("arc", "", None)]
    path.write_text(f"query{mark}language\na{mark}b{mark}c\n")
    with pytest.raises(InvalidInputError, match="line 2: has 3 cells, the header 2"):
        read_queries(path)


@pytest.mark.parametrize("length", [201, 1_001])
def test_a_long_query_is_told_the_limit_of_queries(tmp_path: Path, length: int) -> None:
    path = tmp_path / "q.csv"
    path.write_text(f"query,language\n{'x' * length},en\n")
    with pytest.raises(InvalidInputError, match="is over 200 characters"):
        read_queries(path)


def test_lines_that_are_no_csv_are_queries_all_the_same(tmp_path: Path) -> None:
    path = tmp_path / "q.txt"
    path.write_bytes(b"mime a\rmime b\r")
    assert [q.text for q in read_queries(path)] == ["mime a", "mime b"]
    path.write_text('"unclosed\n' + "mime x\n" * 30_000)
    assert [q.text for q in read_queries(path)] == ['"unclosed', "mime x"]
    path.write_text("x" * 200_000 + "\nmime a\n")
    with pytest.raises(InvalidInputError, match="over 200"):
        read_queries(path)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "has no query"),
        ("x" * 201, "over 200"),
        ("a\u202eb", "can't be seen"),
        ("query,langage\na,b", "langage"),
        ("query,language\na,EN", "ISO 639"),
        ('query\n"a', "no CSV"),
    ],
)
def test_what_a_file_of_queries_must_not_hold(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "q.csv"
    path.write_text(text, "utf-8")
    with pytest.raises(InvalidInputError, match=words):
        read_queries(path)


def test_written_queries_and_tables_are_read_back(tmp_path: Path) -> None:
    runner = CliRunner()
    done = runner.invoke(cli, ["discover", "queries", "--languages", "fr,ru"])
    assert done.exit_code == 0
    assert "no native speaker" in done.stderr
    path = tmp_path / "q.csv"
    path.write_text(done.stdout, "utf-8")
    wanted = list(build_queries(*shipped_set("mimetics"), languages=["fr", "ru"]))
    assert read_queries(path) == wanted
    tables = ["discover", "queries", "--tables", str(tmp_path / "t")]
    assert runner.invoke(cli, tables).exit_code == 0
    assert read_words(tmp_path / "t/words.csv") == read_words()
    assert read_templates(tmp_path / "t/templates.csv") == read_templates()
    assert runner.invoke(cli, tables).exit_code == 1, "a user's table must not be overwritten"


def test_a_query_that_begins_like_a_formula_survives_the_csv(tmp_path: Path) -> None:
    words = tmp_path / "w.csv"
    words.write_text("class,language,action,object\na,en,x,=1+1\n")
    templates = tmp_path / "t.csv"
    templates.write_text("language,template,text\nen,t,{object}\n")
    arguments = ["discover", "queries", "--words", str(words), "--templates", str(templates)]
    out = CliRunner().invoke(cli, arguments).stdout
    assert "\n'=1+1," in out
    (tmp_path / "q.csv").write_text(out)
    assert [q.text for q in read_queries(tmp_path / "q.csv")] == ["=1+1"]


def test_an_unknown_class_is_answered_with_what_comes_close() -> None:
    for name, near in (("archry", r"did you mean 'archery'\? all 50 are"), ("zzz", "all 50 are")):
        with pytest.raises(MimecurateError, match=f"no class {name!r} in the tables; {near}"):
            list(build_queries(*shipped_set("mimetics"), classes=[name]))
    with pytest.raises(MimecurateError, match=r"they have de, en, .*zh$"):
        list(build_queries(*shipped_set("mimetics"), languages=["xx"]))
