"""Numbers in words for people: counts, ages, sizes, remaining times."""

from collections.abc import Sequence

from app.translation import _, figure, plural


def count(number: int, noun: str) -> str:
    """Format a number with its noun: "1 file", "2,000 files"."""
    return plural(f"{{number}} {noun}", f"{{number}} {noun}s", number)


def listed(names: Sequence[str]) -> str:
    """Join names to "a, b and c"."""
    *first, last = names
    return _("{names} and {last}", names=", ".join(first), last=last) if first else last


def quoted(word: str) -> str:
    """Put a word into quotation marks."""
    return _("“{word}”", word=word)


def percent(share: float) -> str:
    """Format a share: "47%"."""
    return _("{number}%", number=figure(100 * share))


def ago(seconds: float) -> str:
    """Format an age in its largest whole unit: "2 hours ago"; "just now" below a minute."""
    if seconds >= 86_400:
        return plural("{number} day ago", "{number} days ago", int(seconds // 86_400))
    if seconds >= 3600:
        return plural("{number} hour ago", "{number} hours ago", int(seconds // 3600))
    if seconds >= 60:
        return plural("{number} minute ago", "{number} minutes ago", int(seconds // 60))
    return _("just now")


def time_left(seconds: float) -> str:
    """Format the remaining time of a task, roughly: "about 45 s left", "about 12 min left", "about 3 h left"."""
    if seconds < 100:
        return _("about {seconds} s left", seconds=f"{seconds:.0f}")
    if seconds < 6000:
        return _("about {minutes} min left", minutes=f"{seconds / 60:.0f}")
    return _("about {hours} h left", hours=f"{seconds / 3600:.0f}")


def size(number: float) -> str:
    """Format a number of bytes: "0.4 kB", "5 MB", "2.8 GB"; a decimal only below 100, and 0 only for 0."""
    number = max(number, 50 if number > 0 else 0)
    unit, length = next((it for it in (("GB", 1e9), ("MB", 1e6)) if number >= 0.9995 * it[1]), ("kB", 1e3))
    value = number / length
    return f"{figure(value) if value >= 99.95 else _short(value)} {unit}"


def gigabytes(megabytes: float) -> str:
    """Format the size of a model, given in megabytes, in gigabytes: "0.8 GB", "4 GB"."""
    return f"{_short(megabytes / 1000)} GB"


def _short(value: float) -> str:
    return figure(value, 0 if f"{value:.1f}".endswith(".0") else 1)
