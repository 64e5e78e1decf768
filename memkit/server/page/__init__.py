"""The memory page: one person's memory in a browser, with a small JSON API behind it.

`routes` is a router for any FastAPI app; `memkit page` serves it on this machine alone.
"""

from memkit.errors import MissingExtra

try:
    import fastapi as _fastapi  # noqa: F401
except ModuleNotFoundError as error:
    raise MissingExtra(
        f"the memory page needs {error.name}: pip install 'memkit-llm[server]'"
    ) from error

from memkit.server.page.routes import routes

__all__ = ["routes"]
