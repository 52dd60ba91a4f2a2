"""`escalator kit …`: make a kit, use it, offer it on the room's network, check it."""

from pathlib import Path
from typing import Annotated

import typer
from typer import Argument, Option

from app.cli.terminal import Verbose, add_clone_command, clone_module, tell
from app.kit.bundle import Kit
from app.kit.use import main as use_kit

kit = typer.Typer(help="Set up a room of laptops without internet.", no_args_is_help=True)
add_clone_command(kit, "make", "workshop.commands")


@kit.command(context_settings={"ignore_unknown_options": True, "allow_extra_args": True, "help_option_names": []})
def use(context: typer.Context) -> None:
    """Set this machine up from a kit, as its start script does; `use KIT --help` lists the options."""
    use_kit(context.args)


@kit.command()
def serve(
    folder: Annotated[Path, Argument(help="The kit's folder.", file_okay=False)],
    host: Annotated[str, Option(help="The address to listen at; 0.0.0.0 is every one.")] = "0.0.0.0",  # noqa: S104
    port: Annotated[int, Option(min=1, max=65535)] = 8080,
    verbose: Verbose = False,
) -> None:
    """Offer a kit to everyone on the room's network, until Ctrl+C."""
    import uvicorn

    from app.kit import serve as server

    app, digest = server.application(folder)
    tell("Everyone on this network can read the kit now. Open one of these addresses on the laptops:")
    tell("\n".join(f"  {address}" for address in server.addresses(host, port)))
    tell(f"The connection is not encrypted. To be sure that the kit is yours, participants add --sum {digest[:16]}")
    uvicorn.run(server.Traffic(app, tell), host=host, port=port, log_level="warning", server_header=False)


@kit.command()
def check(
    folder: Annotated[Path | None, Argument(help="A kit's folder.", file_okay=False)] = None,
    verbose: Verbose = False,
) -> None:
    """Compare the files of a kit with their checksums; without a kit, ask the registry what kits can be made for."""
    if folder is None:
        clone_module("workshop.commands").check_platforms()
    else:
        typer.echo(f"{folder}: {Kit(str(folder)).check()} files, none changed.")
