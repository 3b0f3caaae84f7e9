"""The Spanish catalog and the sentences in the code agree."""

import ast
import functools
import re
from pathlib import Path

import pytest
from babel.messages.pofile import read_po

import bot

PACKAGE = Path(bot.__file__).parent
CATALOG = PACKAGE / "locales" / "es" / "LC_MESSAGES" / "traspaso.po"
#: How the code names the functions that translate, and how many of their arguments are sentences.
MARKS = {"t": 1, "_t": 1, "N_": 1, "plural": 2}


def sentences_of_the_code() -> set[str | tuple[str, ...]]:
    found: set[str | tuple[str, ...]] = set()
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Call):
                function = node.func
                name = function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")
                values = [arg.value for arg in node.args if isinstance(arg, ast.Constant)]
                sentences = [value for value in values[: MARKS.get(name, 0)] if isinstance(value, str)]
                if sentences and len(sentences) == MARKS[name]:
                    found.add(tuple(sentences) if len(sentences) > 1 else sentences[0])
    return found


@functools.cache
def catalog() -> dict[str | tuple[str, ...], tuple[str, ...]]:
    with CATALOG.open("rb") as file:
        return {
            message.id: message.string if isinstance(message.string, tuple) else (message.string,)
            for message in read_po(file, locale="es")
            if message.id and not message.fuzzy
        }


def test_every_sentence_of_the_code_has_a_spanish_one_and_the_catalog_has_no_others() -> None:
    code = sentences_of_the_code()
    assert len(code) > 100
    assert code == set(catalog())


def test_no_spanish_sentence_is_empty() -> None:
    assert [key for key, strings in catalog().items() if not all(strings)] == []


@pytest.mark.parametrize("key", sorted(catalog(), key=str), ids=str)
def test_the_spanish_sentence_names_what_the_english_one_names(key: str | tuple[str, ...]) -> None:
    def names(text: str) -> set[str]:
        return set(re.findall(r"{(\w+)}", text))

    english = (key,) if isinstance(key, str) else key
    assert all(names(spanish) == names(english[-1]) for spanish in catalog()[key])
