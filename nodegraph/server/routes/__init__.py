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
    "plugins",
    "system",
    "login",
    "page",
    "templates",
)
