"""Spanish and English: gettext catalogs read with Babel, numbers and durations in the locale's form.

The sentences in the code are the English ones and the keys of the Spanish catalog. Catalogs are
compiled in memory when first used: no build step, nothing compiled to commit. Babel is loaded when there is
something to translate or a number to write.
"""

from __future__ import annotations

import io
import re
from datetime import UTC, date, datetime
from functools import cache, cached_property, lru_cache
from gettext import NullTranslations
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from babel import Locale

LOCALES = Path(__file__).parent / "locales"
DOMAIN = "traspaso"
LANGUAGES = ("es", "en")


def N_(sentence: str) -> str:  # noqa: N802 - gettext's own name for it
    """Marks a sentence for the catalogs where it is only kept."""
    return sentence


class Translator:
    """Says things in one language. Calling it translates a sentence and fills in its names."""

    def __init__(self, language: str) -> None:
        self.language = language
        self._catalog = _catalog(language)

    @cached_property
    def _locale(self) -> Locale:
        from babel import Locale

        return Locale.parse(self.language)

    def __call__(self, sentence: str, **names: object) -> str:
        return self._catalog.gettext(sentence).format(**names)

    def plural(self, one: str, many: str, n: int, **names: object) -> str:
        """The form for ``n``; ``{n}`` is the number in the locale's form."""
        return self._catalog.ngettext(one, many, n).format(n=self.number(n), **names)

    def rows(self, n: int) -> str:
        return self.plural("{n} row", "{n} rows", n)

    def number(self, value: float) -> str:
        if type(value) is int:
            return _whole(value, self._locale)
        return _decimal(value, "#,##0", self._locale)

    def percent(self, fraction: float) -> str:
        """Rounded down, so that 100 % means all of it; 29 of 100 are 29 %, though 0.29 * 100 is less."""
        whole = int(round(fraction * 100, 6))
        return _hundredths(min(whole, 99) if fraction < 1 else whole, self._locale)

    def duration(self, seconds: float) -> str:
        """Like ``0.8 s``, ``12 s``, ``3 min 5 s``, ``2 h 10 min``; what would be ``0.0 s`` in words."""
        t = self
        if seconds < 0.05:
            return t("less than a second")
        if round(seconds, 1) < 10:
            return f"{_decimal(seconds, '0.0', self._locale)} s"
        whole = round(seconds)
        parts = []
        for symbol, size in (("d", 86400), ("h", 3600), ("min", 60), ("s", 1)):
            amount, whole = divmod(whole, size)
            if amount:
                parts.append(f"{amount} {symbol}")
        return " ".join(parts[:2])

    def period(self, written: str) -> str:
        """A month for the first of one, such as ``October 2026``; a date for a date; other text as it is."""
        from babel.dates import format_date, format_skeleton

        try:
            day = date.fromisoformat(written)
        except ValueError:
            return written
        if day.day == 1:
            return str(format_skeleton("yMMMM", day, locale=self._locale))
        return str(format_date(day, "medium", locale=self._locale))

    def moment(self, when: datetime) -> str:
        """In UTC, for places where Slack can't show the reader's own time."""
        return _moment(when.astimezone(UTC).replace(microsecond=0), self._locale)


# Babel reads its pattern anew for each number, and a card that is edited every second repeats most of them.


@lru_cache(2048)
def _whole(value: int, locale: Locale) -> str:
    return _decimal(value, "#,##0", locale)


def _decimal(value: float, pattern: str, locale: Locale) -> str:
    from babel.numbers import format_decimal

    return format_decimal(value, format=pattern, locale=locale)


@lru_cache(256)
def _hundredths(value: int, locale: Locale) -> str:
    from babel.numbers import format_percent

    return format_percent(value / 100, locale=locale)


@lru_cache(2048)
def _moment(when: datetime, locale: Locale) -> str:
    from babel.dates import format_datetime

    return format_datetime(when, "medium", locale=locale) + " UTC"


@cache
def translator(language: str) -> Translator:
    """The translator of a language, or of the one that a locale such as es-AR or es_AR.UTF-8 stands for."""
    short = re.split(r"[-_.]", language)[0].lower()
    return Translator(short if short in LANGUAGES else "en")


@cache
def _catalog(language: str) -> NullTranslations:
    path = LOCALES / language / "LC_MESSAGES" / f"{DOMAIN}.po"
    if not path.is_file():
        return NullTranslations()
    from babel.messages.mofile import write_mo
    from babel.messages.pofile import read_po
    from babel.support import Translations

    with path.open("rb") as file:
        catalog = read_po(file, locale=language, domain=DOMAIN)
    compiled = io.BytesIO()
    write_mo(compiled, catalog)
    compiled.seek(0)
    return Translations(compiled, DOMAIN)
