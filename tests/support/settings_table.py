"""The table of docs/settings.md, made from `app/settings.py`: `python tasks.py settings`."""

from typing import Any

from pydantic import SecretStr

from app.settings import Settings, names_of


def table() -> str:
    """Format the settings as a Markdown table."""
    rows = ["| Setting | Default | Meaning |", "|---|---|---|"]
    for name, field in Settings.model_fields.items():
        main, *fallbacks = names_of(name)
        also = f" Also read: {', '.join(f'`{other}`' for other in fallbacks)}." if fallbacks else ""
        rows.append(
            f"| `{main}` | {_default(name, field.default)} | {' '.join(str(field.description).split())}{also} |"
        )
    return "\n".join(rows)


def _default(name: str, value: Any) -> str:
    if name == "state_dir":
        return "the user's state folder"
    value = value.get_secret_value() if isinstance(value, SecretStr) else value
    return "unset" if value in (None, "") else f"`{str(value).lower() if isinstance(value, bool) else value}`"


if __name__ == "__main__":
    print(table())
