"""How numbers are said to a person: counts, ages, sizes."""


def count(number: int, noun: str) -> str:
    """So many of something."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def ago(seconds: float) -> str:
    """How long ago something was, in one unit."""
    for unit, length in (("day", 86_400), ("hour", 3600), ("minute", 60)):
        if seconds >= length:
            return f"{count(int(seconds // length), unit)} ago"
    return "just now"


def gigabytes(megabytes: float) -> str:
    """A size in gigabytes, with a decimal where it says something."""
    return f"{megabytes / 1000:.1f} GB".replace(".0 ", " ")
