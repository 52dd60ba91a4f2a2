"""Numbers in words for people: counts, ages, sizes, remaining times."""

from app.translation import plural


def count(number: int, noun: str) -> str:
    """Format a number with its noun: "1 file", "2,000 files"."""
    return plural(f"{{number}} {noun}", f"{{number}} {noun}s", number)


def ago(seconds: float) -> str:
    """Format an age in its largest whole unit: "2 hours ago"; "just now" below a minute."""
    for unit, length in (("day", 86_400), ("hour", 3600), ("minute", 60)):
        if seconds >= length:
            return f"{count(int(seconds // length), unit)} ago"
    return "just now"


def time_left(seconds: float) -> str:
    """Format the remaining time of a task, roughly: "about 45 s left", "about 12 min left", "about 3 h left"."""
    if seconds < 100:
        return f"about {seconds:.0f} s left"
    return f"about {seconds / 60:.0f} min left" if seconds < 6000 else f"about {seconds / 3600:.0f} h left"


def size(number: float) -> str:
    """Format a number of bytes: "0.4 kB", "5 MB", "2.8 GB"; a decimal only below 100."""
    unit, length = next((it for it in (("GB", 1e9), ("MB", 1e6)) if number >= 0.9995 * it[1]), ("kB", 1e3))
    value = max(number, 0) / length
    return f"{value:,.0f} {unit}" if value >= 99.95 else f"{value:.1f} {unit}".replace(".0 ", " ")


def gigabytes(megabytes: float) -> str:
    """Format the size of a model, given in megabytes, in gigabytes: "0.8 GB", "4 GB"."""
    return f"{megabytes / 1000:.1f} GB".replace(".0 ", " ")
