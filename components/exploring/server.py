"""The page's server: it answers the browser of this machine, and only the requests that the page makes."""

from __future__ import annotations

import os
import re
from typing import Any

from gan_core.errors import InvalidInput

HOST = "127.0.0.1"
_SETTINGS = {
    "GRADIO_ANALYTICS_ENABLED": "False",
    "GRADIO_SHARE": "False",
    "GRADIO_MCP_SERVER": "False",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "HF_HUB_OFFLINE": "1",
}
# Gradio also has addresses for uploads, for files, for an editor of the program, and for a history of calls.
_ADDRESSES = re.compile(
    r"/|/config|/theme\.css|/manifest\.json|/favicon\.ico|/(assets|static)/.+"
    r"|/gradio_api/(info|startup-events|queue/join|queue/data|heartbeat/\w+)/?"
)
_HEADERS = {
    b"content-security-policy": (
        b"default-src 'none'; script-src 'self' 'unsafe-inline' 'unsafe-eval'; style-src 'self' 'unsafe-inline'; "
        b"img-src 'self' data:; media-src data:; font-src 'self'; connect-src 'self'; manifest-src 'self'; "
        b"base-uri 'self'; form-action 'none'; frame-ancestors 'none'"
    ),
    b"referrer-policy": b"no-referrer",
    b"x-content-type-options": b"nosniff",
}


def configure_gradio() -> None:
    """Sets the environment variables that Gradio reads when it is imported: no telemetry, no share link.

    Raises:
        InvalidInput: Gradio is not installed.
    """
    os.environ.update(_SETTINGS)
    try:
        import gradio  # noqa: F401
    except ImportError:
        raise InvalidInput(
            "The page needs Gradio, which has an environment of its own: run `make explore`. Received: no Gradio"
        ) from None


def application(page: Any) -> Any:
    """Returns the ASGI application of the page, which refuses requests for another host."""
    import fastapi
    import gradio
    from starlette.middleware.trustedhost import TrustedHostMiddleware

    mounted = gradio.mount_gradio_app(
        fastapi.FastAPI(openapi_url=None),
        page.blocks,
        path="/",
        footer_links=[],
        run_history=False,
        allowed_paths=[],
        show_error=False,
        ssr_mode=False,
        mcp_server=False,
        enable_monitoring=False,
        pwa=False,
        theme=page.theme,
        css=page.css,
    )
    return TrustedHostMiddleware(Guard(mounted), allowed_hosts=[HOST, "localhost"])


class Guard:
    """Refuses what the page does not ask for and what other pages ask for. The page can load nothing from outside."""

    def __init__(self, application: Any) -> None:
        self._application = application

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answers one request."""
        from starlette.responses import PlainTextResponse

        async def send_with_headers(message: Any) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", []), *_HEADERS.items()]
            await send(message)

        if scope["type"] == "http":
            headers = dict(scope["headers"])
            own = b"http://" + headers.get(b"host", b"")
            if headers.get(b"origin", own) != own:
                await PlainTextResponse("The page answers only itself.", 403)(scope, receive, send)
            elif not _ADDRESSES.fullmatch(scope["path"]):
                await PlainTextResponse("There is nothing here.", 404)(scope, receive, send)
            else:
                await self._application(scope, receive, send_with_headers)
        elif scope["type"] == "lifespan":
            await self._application(scope, receive, send)
