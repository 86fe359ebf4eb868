"""`blade-tune dashboard`."""

from pathlib import Path

import click

from blade_tune.cli.options import results_option, storage_option
from blade_tune.errors import ConfigError


@click.command()
@storage_option
@results_option
@click.option("--port", type=click.IntRange(1, 65535), default=8080, show_default=True, help="Port on this machine.")
def dashboard(storage: str | None, results: Path, port: int) -> None:
    """Serve optuna-dashboard on all studies, to this machine only.

    It may stay open while studies run and changes nothing by itself. It has no login, and whoever opens it can delete
    studies.

    \b
    Example:
      blade-tune dashboard --port 8080
    """  # noqa: D301
    import optuna
    from optuna_dashboard import run_server

    from blade_tune.study.storage import masked, open_storage, resolve_url

    url = resolve_url(storage, results)
    cached = optuna.storages.get_storage(open_storage(url, create=False))
    click.echo(f"{masked(url)} on http://127.0.0.1:{port}/dashboard/ (Ctrl-C ends it)", err=True)
    try:
        run_server(cached, host="127.0.0.1", port=port)
    except OSError as error:
        raise ConfigError(f"--port must be a free one, got {port}: {error.strerror}.") from None
