"""The routes, a noun a file."""

MODULES = (
    "prompt",
    "queue",
    "history",
    "jobs",
    "socket",
    "view",
    "upload",
    "models",
    "users",
    "internal",
    "extras",
    "system",
    "login",
    "page",
)
