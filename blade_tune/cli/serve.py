"""Command `blade-tune serve`, which answers requests for recommendations over HTTP."""

from pathlib import Path

import click

from blade_tune.cli.options import run_settings
from blade_tune.errors import ConfigError
from blade_tune.fleet.devices import usable_device
from blade_tune.fleet.settings import RunSettings
from blade_tune.serving.limits import Limits


@click.command()
@click.option(
    "--bundle",
    required=True,
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="What export-best wrote.",
)
@click.option(
    "--host",
    metavar="ADDR",
    default="127.0.0.1",
    show_default=True,
    help="Address to listen on; 0.0.0.0 is all.",
)
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=8090,
    show_default=True,
    help="Port to listen on; 0 for any free one.",
)
@click.option(
    "--threads",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    metavar="N",
    help="Requests computed at a time, each by one CPU thread.",
)
@click.option(
    "--max-users",
    type=click.IntRange(min=1),
    default=Limits.max_users,
    show_default=True,
    metavar="N",
    help="Most users of a request.",
)
@click.option(
    "--max-k",
    type=click.IntRange(min=1),
    default=Limits.max_k,
    show_default=True,
    metavar="N",
    help="Most items of a user.",
)
@click.option(
    "--max-bytes",
    type=click.IntRange(min=1),
    default=Limits.max_bytes,
    show_default=True,
    metavar="N",
    help="Largest body of a request.",
)
@click.option(
    "--max-seconds",
    type=click.FloatRange(min=0, min_open=True),
    default=Limits.seconds,
    show_default=True,
    metavar="SECONDS",
    help="Longest time of a request; a later one is answered 503 or 504.",
)
@run_settings("device")
def serve(
    bundle: Path,
    host: str,
    port: int,
    threads: int,
    max_users: int,
    max_k: int,
    max_bytes: int,
    max_seconds: float,
    settings: RunSettings,
) -> None:
    """Answer requests for recommendations over HTTP.

    POST /recommend takes histories of any number of users and returns what `recommend` would; GET /health, /metrics
    (Prometheus) and /openapi.json say the rest. Only this machine reaches it unless --host says otherwise, and it has
    no login. SIGTERM or Ctrl-C ends it once what has begun is answered. The bundle is checked first, and left alone.

    \b
    Example:
      blade-tune serve --bundle results/demo/best --port 8090
    """  # noqa: D301
    from blade_tune.export.checksums import require_bundle

    require_bundle(bundle)  # before the imports: a wrong folder is said at once
    try:
        import prometheus_client  # noqa: F401
        import starlette  # noqa: F401
        import uvicorn  # noqa: F401
    except ModuleNotFoundError as error:
        raise ConfigError(f"serve: {error}; run: pip install 'blade-tune[serve]'.") from None

    from blade_tune.report.guard import is_loopback
    from blade_tune.serving.server import Place, serve
    from blade_tune.serving.service import Service

    service = Service.load(bundle, usable_device(settings.device))
    if service.health.warning:
        click.echo(f"WARNING {service.health.warning}", err=True)
    if not is_loopback(host):
        click.echo(
            f"WARNING no login: anyone who reaches {host} on port {port} can ask for recommendations.",
            err=True,
        )

    def listening(at: str) -> None:
        click.echo(f"{bundle} on {at} (Ctrl-C ends it)", err=True)

    limits = Limits(max_bytes, max_users, max_k, max_seconds)
    serve(service, limits, Place(host, port, threads), listening)
