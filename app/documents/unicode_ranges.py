"""Ranges of characters that need a rule of their own, for use inside the brackets of a regular expression."""

SPACELESS = (
    "\u0e00-\u0eff"  # Thai, Lao
    "\u1000-\u109f\u1780-\u17ff"  # Burmese, Khmer
    "\u3005-\u3007\u3040-\u30ff\u31f0-\u31ff"  # Japanese syllables
    "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\uff66-\uff9f"  # Han, half-width kana
    "\uac00-\ud7a3"  # Korean syllables: they know spaces, but glue particles to the word
    "\U00020000-\U0003ffff"  # rarer Han
)
"""Letters of scripts that do not part words by spaces."""

MARKS = (
    "\u0300-\u036f\u0483-\u0487"  # accents after their letter
    "\u0591-\u05bd\u05bf-\u05c7"  # Hebrew points
    "\u0610-\u061a\u064b-\u065f\u0670"  # Arabic vowels
    "\u0900-\u0963\u0966-\u0dff"  # the scripts of India, without their full stop
    "\u200c\u200d"  # joiners
)
"""Marks that belong to the word they stand in, although a regular expression's `\\w` leaves them out."""
