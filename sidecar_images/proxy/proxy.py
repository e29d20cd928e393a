"""Runs one addon on mitmproxy, with only those of mitmproxy's own addons that a proxy needs.

mitmdump would load thirty more: 20 MB of memory in each process, and a call to each for every event of a connection.
Usage: proxy.py egress|pipelock MODE PORT [OPTION=VALUE …]
"""

from __future__ import annotations

import asyncio
import gc
import importlib
import logging
import signal
import sys
import types
from pathlib import Path

import mitmproxy

# The package's __init__ imports every addon, and contains only their list.
_package = types.ModuleType("mitmproxy.addons")
_package.__path__ = [str(Path(mitmproxy.__file__).parent / "addons")]
sys.modules["mitmproxy.addons"] = _package

from mitmproxy import master, options  # noqa: E402
from mitmproxy.addons import core, disable_h2c, errorcheck, next_layer, proxyserver, tlsconfig  # noqa: E402

from addons.frame import give_back  # noqa: E402
from addons.http import fresh_leaves  # noqa: E402
from addons.http import layers as http_layers  # noqa: E402
from addons.http.listeners import Listeners  # noqa: E402
from addons.pipelock.revocation import Revocation  # noqa: E402


class TlsConfig(tlsconfig.TlsConfig):
    """mitmproxy's certificates, without its own answer to any path that ends like that of its revocation list."""

    request = None


async def run(role: str, mode: str, port: int, settings: list[str]) -> None:
    """Serve until a signal arrives. Ends the process if the proxy cannot start, as mitmdump does."""
    http_layers.install(role)
    server = master.Master(options.Options(), event_loop=asyncio.get_running_loop(), with_termlog=False)
    server.addons = Listeners(server)
    server.addons.add(
        core.Core(),
        disable_h2c.DisableH2C(),
        proxyserver.Proxyserver(),
        next_layer.NextLayer(),
        *importlib.import_module(f"addons.{role}.addon").addons,
        *fresh_leaves.addons,
        *give_back.addons,
        TlsConfig(),
        *Revocation.from_environment(),
        errorcheck.ErrorCheck(),
    )
    # Lazy: no connection is opened, and no certificate fetched, before a request was allowed.
    server.options.update(mode=[mode], listen_host="0.0.0.0", listen_port=port)  # noqa: S104 - of a network of its own
    server.options.update(connection_strategy="lazy", upstream_cert=False, rawtcp=False)
    server.options.set(*settings)
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, server.shutdown)
    # The objects so far live on, so the collector need not scan them again.
    gc.collect()
    gc.freeze()
    await server.run()


if __name__ == "__main__":
    logging.basicConfig(level=logging.ERROR, stream=sys.stderr)
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    asyncio.run(run(sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4:]))
