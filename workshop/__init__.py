"""The making of the trainer's kit, behind `escalator kit make`: part of a clone of the repository, not installed."""
