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
    "versions",
    "internal",
    "extras",
    "plugins",
    "system",
    "login",
    "page",
    "templates",
)
