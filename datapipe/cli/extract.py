"""datapipe extract"""

from __future__ import annotations

from datapipe import symbols as tickers
from datapipe.cli import console, options
from datapipe.cli.summary import summary


def extract(
    symbols: options.Symbols = None,
    endpoints: options.Endpoints = None,
    source: options.ExtractSource = "alpha_vantage",
    outputsize: options.OutputSize = "compact",
    interval: options.Interval = "5min",
    quiet: options.Quiet = False,
) -> None:
    """Ask the API, and keep each good answer word for word."""
    from datapipe.cli.progress import shown  # late, for the sake of --help

    with shown(console.settings(), quiet=quiet) as pipeline:
        extracted = pipeline.extract(
            tickers.split(symbols or ""),
            console.items(endpoints),
            source=source,
            options={"outputsize": outputsize, "interval": interval},
        )
    error = extracted.error()
    if error or not quiet:
        console.tell(summary(extracted))
    if error:
        raise error
