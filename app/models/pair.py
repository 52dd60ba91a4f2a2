"""Which two models make the cascade."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Pair:
    """Aliases or ids of the model that answers first, and of the one that is asked when it must be."""

    small: str
    large: str

    @property
    def both(self) -> tuple[str, str]:
        """The small one and the large one."""
        return self.small, self.large

    @property
    def alone(self) -> bool:
        """Whether one model plays both parts, so that there is none to ask."""
        return self.small == self.large

    @property
    def roles(self) -> tuple[str, ...]:
        """The parts that there are to play."""
        return ("small",) if self.alone else ("small", "large")

    def of(self, role: str) -> tuple[str, str]:
        """The model of this role, and the one that may be unloaded for it."""
        return (self.small, self.large) if role == "small" else (self.large, self.small)
