"""Command `blade-tune dashboard`, which shows all studies in optuna-dashboard."""

import click

from blade_tune.cli.options import STORAGE_FLAGS, run_settings
from blade_tune.fleet.settings import RunSettings


@click.command()
@run_settings(*STORAGE_FLAGS)
@click.option(
    "--port",
    type=click.IntRange(1, 65535),
    default=8080,
    show_default=True,
    help="Port to listen on.",
)
@click.option(
    "--host",
    metavar="ADDR",
    default="127.0.0.1",
    show_default=True,
    help="Address to listen on; 0.0.0.0 is all.",
)
@click.option("--edit", is_flag=True, help="Let pages change and delete studies, and write notes.")
def dashboard(settings: RunSettings, port: int, host: str, edit: bool) -> None:
    """Show all studies in optuna-dashboard.

    It may stay open while studies run. Only this machine reaches it unless --host says otherwise, it answers under
    names of this machine and to its own pages alone, and nothing can be changed unless --edit says so: its pages
    say that, and have no buttons for it. It has no login.

    \b
    Example:
      blade-tune dashboard --port 8080
    """  # noqa: D301
    from blade_tune.report.guard import is_loopback
    from blade_tune.report.serving import application, serve
    from blade_tune.storage.connect import masked

    url = settings.workspace.url
    app = application(url, settings.results, host, edit=edit)
    if not is_loopback(host):
        can = "read and delete" if edit else "read"
        click.echo(
            f"WARNING no login: anyone who reaches {host} on port {port} can {can} all studies.",
            err=True,
        )

    def listening(at: str) -> None:
        click.echo(f"{masked(url)} on {at}dashboard/ (Ctrl-C ends it)", err=True)

    serve(app, host, port, listening)
