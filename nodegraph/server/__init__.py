"""The HTTP and websocket server: ComfyUI's protocol, a queue that loses nothing, safe by default.

settings -> app.py -> routes/, sockets.py -> nodegraph.jobs -> nodegraph.engine
"""
